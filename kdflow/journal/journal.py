"""What a started command has to tell the MLflow store, written down before it is told: the truth about its runs.

A command (a teacher, a student, a study, a comparison) keeps one folder under `--runs-dir`: `run.json` (what was
started), `journal.jsonl` (one entry a line), `delivered.json` (how much of it the store has, and which ids it gave),
`artifacts/` and `checkpoints/`. A run is known here by its key, such as "study-3fa2b1c09d4e-1/teacher-77aa0c1d2e3f",
from before the store gives it an id, and without a store at all.

The journal is the truth about what was logged. A checkpoint is the truth about the weights of its epoch, and holds the
metrics of that epoch alone, to log them where a kill came between the two.
"""

import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from kdflow.common import files, signals
from kdflow.common.console import warn
from kdflow.common.errors import KdflowError
from kdflow.common.text import command
from kdflow.config import KeepingConfig
from kdflow.journal import lock
from kdflow.journal.deliveries import Deliveries
from kdflow.journal.entries import runs_named
from kdflow.journal.folders import KEY, folders, read_delivered, read_json, read_lines

SCHEMA, SCHEMAS = 2, (1, 2)
"""Of what is written, and of what can be read: a command of version 0.1 can be told to the store, not gone on with."""
DIVERGED = "kdflow.diverged"
"""Tag of a run that learned nothing, or whose loss was no longer finite."""


class Journal(Deliveries):
    """The folder of one started command; opened, it belongs to this process alone.

    Args:
        folder: An existing one, made by `begin`.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.key = folder.name
        self.started: dict[str, Any] = read_json(folder / "run.json")
        if self.started.get("schema") not in SCHEMAS:
            raise KdflowError(f"{folder} was not written by this version of kdflow (schema {SCHEMA})")
        self._read()

    @classmethod
    def begin(cls, runs_dir: Path, kind: str, settings: dict[str, Any], *, signature: str = "") -> Self:
        """Makes the folder of a new command, or of a new attempt at one.

        Args:
            runs_dir: Where such folders are.
            kind: "teacher", "student", "study" or "compare".
            settings: What `started` will hold beside kind and schema; "store" is where its runs go, "" if that is open.
            signature: What the command is known by; by default its settings alone.

        Raises:
            KdflowError: the folder cannot be written to.
        """
        files.require_writable(runs_dir, option="--runs-dir")
        signature = signature or hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
        made = {"signature": signature, "began": int(time.time() * 1000), "nonce": secrets.token_hex(8)}
        started = {"schema": SCHEMA, "kind": kind, "store": "", **made, **settings}
        try:
            folder = _new_attempt(runs_dir, f"{kind}-{signature[:12]}")
        except OSError as error:
            raise files.unwritable(runs_dir, error, needed=0) from error
        try:
            (folder / "artifacts").mkdir()
            files.write(folder / "run.json", (json.dumps(started, indent=2) + "\n").encode())
        except BaseException as error:  # a signal too: half a folder could not be read
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):
                raise files.unwritable(runs_dir, error, needed=0) from error
            raise
        return cls(folder)

    @classmethod
    def find(cls, runs_dir: Path, reference: str) -> Self:
        """The folder of a command by the id that the store gave its run, or by its key.

        Raises:
            KdflowError: there is none.
        """
        for folder in folders(runs_dir):
            ids, key = read_delivered(folder).get("ids", {}), folder.name
            if reference in (key, ids.get(key)):
                return cls(folder)
            if reference in ids.values() or reference.startswith(f"{key}/"):
                kind, whole = key.partition("-")[0], cls(folder)
                raise KdflowError(f"--resume {reference}: this run is part of a {kind}: {whole.resume_command}")
        raise KdflowError(
            f"--resume {reference}: {runs_dir} keeps nothing of such a run: it was run elsewhere (name that folder "
            "with --runs-dir), or what was kept is deleted"
        )

    @classmethod
    def every(cls, runs_dir: Path, beginning: str = "") -> Iterator[Self]:
        """All commands that left a folder, oldest first; what is damaged or something else is passed over.

        Args:
            runs_dir: Where they are.
            beginning: Only those whose folders are named so.
        """
        for folder in folders(runs_dir, beginning):
            try:
                yield cls(folder)
            except KdflowError as error:
                warn(f"passed over: {error}")

    @classmethod
    def attempts(cls, runs_dir: Path, kind: str, signature: str) -> list[Self]:
        """The earlier attempts at the same command, the oldest first."""
        return [
            journal for journal in cls.every(runs_dir, f"{kind}-{signature[:12]}-") if journal.signature == signature
        ]

    @property
    def signature(self) -> str:
        """What the command is known by; empty in version 0.1."""
        return str(self.started.get("signature", ""))

    @property
    def can_go_on(self) -> bool:
        """Whether there is anything left to do that can be done."""
        return self.started["schema"] == SCHEMA and not (
            self.finished or self.diverged or self.started["kind"] == "compare"
        )

    def told_key(self, key: str) -> str:
        """What the store knows a run of this command by, which no other command has, here or elsewhere."""
        nonce = self.started.get("nonce")
        return f"{key}@{nonce}" if nonce else key

    @property
    def id(self) -> str:
        """The run that was started: the id that the store gave it, or its key until then."""
        return self.id_of(self.key)

    @property
    def reference(self) -> str:
        """What `find` knows it by: its id, unless that could not be noted on a full disk."""
        return str(read_delivered(self.folder).get("ids", {}).get(self.key, self.key))

    @property
    def resume_command(self) -> str:
        """What to type to go on with it."""
        return command("kdflow", self.started["kind"], "--resume", self.reference, *self._where)

    @property
    def sync_command(self) -> str:
        """What to type to tell the store what it does not have yet."""
        return command("kdflow", "sync", *self._where)

    @property
    def _where(self) -> list[str]:
        runs_dir = self.folder.parent
        return [] if runs_dir == Path(KeepingConfig().runs_dir) else ["--runs-dir", str(runs_dir)]

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints of its cohorts are, a folder each."""
        return self.folder / "checkpoints"

    @property
    def refers_to(self) -> set[str]:
        """The keys of other commands whose runs its own refer to."""
        named = {run.partition("/")[0] for entry in self.entries for run in runs_named(entry)}
        return {key for key in named if KEY.match(key)} - {self.key}

    @property
    def diverged(self) -> bool:
        """Whether the run that was started ended by a loss that was no longer finite, so that it would do so again."""
        return any(DIVERGED in entry["tags"] for entry in self.of(self.key, "tags"))

    @property
    def finished(self) -> bool:
        """Whether the run that was started ended well."""
        return self.status(self.key) == "FINISHED"

    @classmethod
    def id_for(cls, runs_dir: Path, key: str) -> str:
        """The id that the store gave a run of any command, or its key until then."""
        if not KEY.match(key):
            return key
        return str(read_delivered(runs_dir / key.partition("/")[0]).get("ids", {}).get(key, key))

    def artifacts(self, key: str) -> Path:
        """The folder in which a run keeps what it will give to the store."""
        return self.folder / "artifacts" / Path(key).relative_to(self.key)

    def append(self, kind: str, run: str, **facts: Any) -> None:
        """Writes an entry down; how a run stands can be told even if it cannot be kept.

        Raises:
            KdflowError: the disk is full, or the folder cannot be written to.
        """
        facts = {"kind": kind, "run": run, "time": int(time.time() * 1000), **facts}
        line = json.dumps(facts, ensure_ascii=False).encode(errors="replace")  # no store takes lone surrogates
        entry = json.loads(line)  # as it is read back
        with signals.patient():  # an entry that is told and not kept, or kept and not told, would be told otherwise
            try:
                files.append(self.folder / "journal.jsonl", line + b"\n")
            except KdflowError:
                if kind == "status":
                    self.note(entry)
                raise
            except KeyboardInterrupt:  # where nobody listens to signals, as in a notebook
                self._read()
                raise
            self.note(entry)

    @property
    def experiment(self) -> dict[str, str] | None:
        """Where its runs go; None if none was begun."""
        begun = self.of(self.key, "create")
        return self.moved_to or (begun[0]["experiment"] if begun else None)

    @property
    def moved_to(self) -> dict[str, str] | None:
        """The experiment to which all goes, in place of those that its entries name."""
        return self.started.get("experiment")

    def move(self, experiment: str) -> None:
        """Sends all that is told from now on to another experiment.

        Raises:
            KdflowError: the disk is full, or the folder cannot be written to.
        """
        self.started["experiment"] = {"name": experiment}
        self.keep_started()

    def keep_started(self) -> None:
        """Writes `started` down again.

        Raises:
            KdflowError: the disk is full, or the folder cannot be written to.
        """
        files.write(self.folder / "run.json", (json.dumps(self.started, indent=2) + "\n").encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from the folder; the system lifts the lock of a process that dies.

        Raises:
            KdflowError: another process has it.
        """
        with lock.held(self.folder, self.id):
            self._drop_torn_line()
            self._read()  # the process that had it until now may have gone on
            yield

    @property
    def is_in_use(self) -> bool:
        """Whether another process has the folder."""
        try:
            self.require_unused()
        except KdflowError:
            return True
        return False

    def require_unused(self) -> None:
        """Learns early what `locked` would say.

        Raises:
            KdflowError: another process has the folder.
        """
        with self.locked():
            pass

    def _read(self) -> None:
        self.forget()
        for entry in read_lines(self.folder / "journal.jsonl"):
            self.note(entry)
        self.read_delivered()

    def _drop_torn_line(self) -> None:
        """A process that was killed may have left half a line, which the next entry must not be appended to."""
        path = self.folder / "journal.jsonl"
        if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)


def _new_attempt(runs_dir: Path, name: str) -> Path:
    """Makes the folder of the next attempt, which no other process gets."""
    runs_dir.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        folder = runs_dir / f"{name}-{attempt}"
        try:
            folder.mkdir()
            return folder
        except FileExistsError:
            attempt += 1
