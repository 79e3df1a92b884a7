"""What a started command has to tell the MLflow store, written down before it is told: the truth about its runs.

A command (a teacher, a student, a study, a comparison) keeps one folder under `--runs-dir`: `run.json` (what was
started), `journal.jsonl` (one entry a line), `delivered.json` (how much of it the store has, and which ids it gave),
`artifacts/` and `checkpoints/`. A run is known here by its key, such as "study-20261122-214500-3fa2/teacher", from
before the store gives it an id, and without a store at all.
"""

import errno
import fcntl
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from kdflow import files
from kdflow.errors import KdflowError

SCHEMA = 1
KEY = re.compile(r"[a-z]+-(\d{8}-\d{6})-[0-9a-f]{4}(/|$)")
Entry = dict[str, Any]


class Journal:
    """The folder of one started command; opened, it belongs to this process alone.

    Args:
        folder: An existing one, made by `begin`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = folder.name
        self.started: dict[str, Any] = _read_json(folder / "run.json")
        if self.started.get("schema") != SCHEMA:
            raise KdflowError(f"{folder} was not written by this version of kdflow (schema {SCHEMA})")
        delivered = _read_json(folder / "delivered.json") if (folder / "delivered.json").exists() else {}
        self.ids: dict[str, str] = delivered.get("ids", {})
        self.addresses: dict[str, str] = delivered.get("addresses", {})
        self.entries: list[Entry] = list(_read_lines(folder / "journal.jsonl"))
        self._metrics: dict[str, dict[str, dict[int, float]]] = {}
        for entry in self.entries:
            self._note_metrics(entry)
        self.delivered: int = min(delivered.get("count", 0), len(self.entries))

    @classmethod
    def begin(cls, runs_dir: Path, kind: str, settings: dict[str, Any]) -> Self:
        """Makes the folder of a new command.

        Args:
            runs_dir: Where such folders are.
            kind: "teacher", "student", "study" or "compare".
            settings: What `started` will hold beside kind and schema.

        Raises:
            KdflowError: the folder cannot be written to.
        """
        files.require_writable(runs_dir, option="--runs-dir")
        folder = runs_dir / f"{kind}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        (folder / "artifacts").mkdir(parents=True)
        started = {"schema": SCHEMA, "kind": kind, **settings}
        files.write(folder / "run.json", (json.dumps(started, indent=2) + "\n").encode())
        return cls(folder)

    @classmethod
    def find(cls, runs_dir: Path, reference: str) -> Self:
        """The folder of a command by the id that the store gave its run, or by its key.

        Raises:
            KdflowError: there is none.
        """
        for journal in cls.every(runs_dir):
            if reference in (journal.key, journal.id):
                return journal
            if reference in (*journal.ids, *journal.ids.values()):
                kind = journal.started["kind"]
                raise KdflowError(
                    f"--resume {reference}: this run is part of a {kind}: kdflow {kind} --resume {journal.id}"
                )
        raise KdflowError(
            f"--resume {reference}: {runs_dir} keeps nothing of such a run: it was run elsewhere (name that folder "
            "with --runs-dir), or what was kept is deleted"
        )

    @classmethod
    def every(cls, runs_dir: Path) -> Iterator[Self]:
        """All commands that left a folder, oldest first; folders that are something else are passed over."""
        names = (path.parent.name for path in runs_dir.glob("*/run.json"))
        begun = sorted((found[1], found[0]) for name in names if (found := KEY.match(name)))
        for _, name in begun:
            yield cls(runs_dir / name)

    @property
    def id(self) -> str:
        """The run that was started: the id that the store gave it, or its key until then."""
        return self.id_of(self.key)

    @property
    def checkpoints(self) -> Path:
        """Where the checkpoints of its cohorts are, a folder each."""
        return self.folder / "checkpoints"

    @property
    def pending(self) -> int:
        """How many entries the store does not have yet."""
        return len(self.entries) - self.delivered

    @property
    def finished(self) -> bool:
        """Whether the run that was started ended well."""
        return self.status(self.key) == "FINISHED"

    def id_of(self, key: str) -> str:
        """The id that the store gave a run, or its key until then."""
        return self.ids.get(key, key)

    @classmethod
    def id_for(cls, runs_dir: Path, key: str) -> str:
        """The id that the store gave a run of any command, or its key until then."""
        folder = runs_dir / key.partition("/")[0]
        return cls(folder).id_of(key) if KEY.match(key) and folder.is_dir() else key

    def artifacts(self, key: str) -> Path:
        """The folder in which a run keeps what it will give to the store."""
        return self.folder / "artifacts" / Path(key).relative_to(self.key)

    def of(self, key: str, kind: str) -> list[Entry]:
        """The entries of one kind for one run."""
        return [entry for entry in self.entries if entry["run"] == key and entry["kind"] == kind]

    def status(self, key: str) -> str | None:
        """How a run stands; None if it was never begun."""
        told = self.of(key, "status")
        return told[-1]["status"] if told else "RUNNING" if self.of(key, "create") else None

    def metrics(self, key: str) -> dict[str, dict[int, float]]:
        """What was logged for a run: metric name to its values by step."""
        return self._metrics.get(key, {})

    def history(self, key: str, names: Iterable[str]) -> dict[str, list[float]]:
        """Of these metrics, those that were logged for a run: the values of epochs 1, 2, ..."""
        logged = self.metrics(key)
        return {name: [logged[name][step] for step in sorted(logged[name])] for name in names if name in logged}

    def append(self, kind: str, run: str, **facts: Any) -> None:
        """Writes an entry down.

        Raises:
            KdflowError: the disk is full, or the folder cannot be written to.
        """
        entry: Entry = {"kind": kind, "run": run, "time": int(time.time() * 1000), **facts}
        self.entries.append(entry)  # even if it cannot be kept, it can be told
        self._note_metrics(entry)
        line = (json.dumps(entry) + "\n").encode()
        try:
            with (self.folder / "journal.jsonl").open("ab", buffering=0) as file:
                whole = file.tell()
                if file.write(line) != len(line):
                    file.truncate(whole)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise files.unwritable(self.folder, error, needed=len(line)) from error

    def mark_delivered(self) -> None:
        """Notes that the store has one more entry. Were the note lost, that entry would be sent again, to no effect."""
        self.delivered += 1
        note = {"count": self.delivered, "ids": self.ids, "addresses": self.addresses}
        part = self.folder / f"delivered.json{files.PART}"
        with suppress(OSError):
            part.write_text(json.dumps(note, indent=2) + "\n")
            os.replace(part, self.folder / "delivered.json")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from the folder; the system lifts the lock of a process that dies.

        Raises:
            KdflowError: another process has it.
        """
        with (self.folder / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read() or "another process"
                raise KdflowError(f"run {self.id} is in use by {owner}: wait for it, or end it first") from None
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}")
            lock.flush()
            self._drop_torn_line()
            yield

    def _note_metrics(self, entry: Entry) -> None:
        for name, value in entry.get("metrics", {}).items():
            self._metrics.setdefault(entry["run"], {}).setdefault(name, {})[entry["step"]] = value

    def _drop_torn_line(self) -> None:
        """A process that was killed may have left half a line, which the next entry must not be appended to."""
        path = self.folder / "journal.jsonl"
        if path.exists() and not (content := path.read_bytes()).endswith(b"\n"):
            os.truncate(path, content.rfind(b"\n") + 1)


def _read_lines(path: Path) -> Iterator[Entry]:
    """All whole entries."""
    for line in path.read_bytes().splitlines(keepends=True) if path.exists() else ():
        if not line.endswith(b"\n"):
            return
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise KdflowError(f"{path} is damaged: {error}") from None
        yield entry


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise KdflowError(f"{path} is damaged: {error}") from None
    return content if isinstance(content, dict) else {}
