"""Starting a command, or going on with one that was stopped: its data, its machine, its journal."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from kdflow.analysis.cells import validation_note
from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.errors import DivergedError, KdflowError
from kdflow.common.mlflow_project import how_to_go_on, typed
from kdflow.common.signals import Stopped
from kdflow.common.text import redact
from kdflow.config import CohortConfig, KeepingConfig, StudentConfig, StudyConfig, TeacherConfig, texts
from kdflow.data import Dataset, lasting_name, load, require_known
from kdflow.device.runtime import Runtime, require_device, resolve
from kdflow.experiments import find_teacher, preflight
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.same_computation import computing, require_same_data, same_threads, tell_differences
from kdflow.experiments.stopped_run import require_same_options, stopped_run
from kdflow.journal import lock
from kdflow.journal.journal import DIVERGED, Journal
from kdflow.reports import drawing
from kdflow.tracking import carried
from kdflow.tracking.address import uri
from kdflow.tracking.checks import OFFLINE, make_ready, require_artifacts_in_place, require_ready
from kdflow.tracking.container import require_whole_store
from kdflow.tracking.journal_runs import JournalRuns
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.presence import is_of_this_store
from kdflow.tracking.readers import Runs
from kdflow.tracking.run import data_tags, reopen
from kdflow.tracking.store_runs import StoreRuns
from kdflow.tracking.surroundings import STUDY_TAG, Surroundings, require_surroundings
from kdflow.training.identity import SCHEMA, Signer

Config = TypeVar("Config", TeacherConfig, StudentConfig, CohortConfig, StudyConfig)
LAST_WORDS = 5.0
"""Seconds in which a command that fails may still tell the store so."""


@dataclass(frozen=True)
class Session(Generic[Config]):
    """A command that is about to begin, or to go on.

    Attributes:
        kind: "teacher", "student", "cohort" or "study".
        config: Its options, all settled.
        data: What it sees.
        runtime: On what it computes.
        journal: Of the command that is gone on with; None for a new one.
        around: What its own run finds.
    """

    kind: str
    config: Config
    data: Dataset
    runtime: Runtime
    journal: Journal | None
    around: Surroundings

    @property
    def runs(self) -> Runs:
        """Where runs are read from."""
        return readable(self.config.keeping.runs_dir, offline=self.config.keeping.offline)

    def find_teacher(self, config: StudentConfig | CohortConfig | StudyConfig) -> Teacher:
        """Loads the teacher that is meant, and says which; after a stop, the one that was found before.

        Args:
            config: Of what it teaches; without a name it is the champion of the same data and split.

        Raises:
            TeacherError: see `kdflow.experiments.find_teacher.find`.
            UsageError: the distiller does not find in it what it looks at.
        """
        found, runs = self.journal.started["teacher"] if self.journal else "", self.runs
        meant = Journal.id_for(Path(config.keeping.runs_dir), found or config.teacher)
        teaching = find_teacher.find(meant, self.data, runs)
        said = find_teacher.described(teaching.run_id, runs)
        preflight.require_teaching(teaching.model.model, config, f"teacher {said}")
        say(f"teacher: {said}", vital=True)
        return teaching

    def has(self, role: str, known_by: str) -> bool:
        """Whether a training run was begun by the command that is gone on with."""
        return bool(self.journal and self.journal.status(f"{self.journal.key}/{role}-{known_by[:12]}"))

    @property
    def signer(self) -> Signer:
        """What training runs of this command are known by."""
        # What goes on with other arithmetic, and says so, is the same run all the same.
        precision = self.journal.started["precision"] if self.journal else self.runtime.settled["precision"]
        return Signer(data_tags(self.data), str(precision))

    @contextmanager
    def alone(self, known_by: str) -> Iterator["Session[Config]"]:
        """Within this, no other process does the same; gives the session, which goes on with what was stopped.

        Args:
            known_by: The signature of the command.

        Raises:
            KdflowError: another process works on it, or it diverged before.
        """
        keeping = self.config.keeping
        if self.journal or not (keeping.reuse or self.around.study):
            yield self
            return
        with lock.alone(Path(keeping.runs_dir), f"{self.kind}-{known_by[:12]}"):
            yield self._going_on(known_by)

    def _going_on(self, known_by: str) -> "Session[Config]":
        keeping = self.config.keeping
        if keeping.is_carried:
            carried.fetch(Path(keeping.runs_dir), self.kind, known_by)
        attempts = [one for one in Journal.attempts(Path(keeping.runs_dir), self.kind, known_by) if self.is_meant(one)]
        if diverged := [one for one in attempts if one.diverged]:
            raise DivergedError(
                f"{diverged[-1].key} ended by a loss that was no longer finite, as this would: change an option, or "
                "give --reuse false"
            )
        stopped = [one for one in attempts if _is_left(one, offline=keeping.offline) and not one.is_in_use]
        if not stopped:
            return self
        journal = stopped[-1]
        if not keeping.offline:
            reopen(journal)
        say(f"Going on with {journal.key}, which was stopped", vital=True)
        settled = same_threads(journal, self.config.runtime)
        runtime = self.runtime if settled == self.config.runtime else resolve(settled)
        tell_differences(journal, runtime)
        return replace(self, journal=journal, config=replace(self.config, runtime=settled), runtime=runtime)

    def is_meant(self, earlier: Journal) -> bool:
        """Whether an earlier attempt may be gone on with: it is of this store, and where all is anew, of this study."""
        if earlier.started.get("identity") != SCHEMA:
            return False
        study = next((entry["tags"].get(STUDY_TAG) for entry in earlier.of(earlier.key, "create")), None)
        if not self.config.keeping.reuse and study != self.around.study:
            return False
        if self.config.keeping.offline or not earlier.ids:
            return True
        return is_of_this_store(earlier.ids.values())

    @contextmanager
    def begun(self, known_by: str, *, teacher: Teacher | None = None) -> Iterator[Outbox]:
        """Begins, or goes on (see `begun`); says which earlier attempt could be gone on with.

        Args:
            known_by: The signature of the command.
            teacher: That was found.
        """
        config = texts(self.config)
        facts = {
            "config": config | {"dataset": lasting_name(config["dataset"])},
            "teacher": teacher.run_id if teacher else "",
            "data": data_tags(self.data),
            "computing": computing(self.runtime),
            "precision": self.runtime.settled["precision"],
            "identity": SCHEMA,
        }
        if self.journal is None and not self.config.keeping.reuse:
            _tell_stopped_attempts(self.kind, known_by, self.config.keeping)
        with begun(self.kind, self.config.keeping, facts, self.around, self.journal, known_by=known_by) as outbox:
            yield outbox


@contextmanager
def begun(
    kind: str,
    keeping: KeepingConfig,
    facts: Mapping[str, object],
    around: Surroundings,
    stopped: Journal | None = None,
    *,
    known_by: str = "",
) -> Iterator[Outbox]:
    """Within this, a command has a journal; a failure leaves it as it is and says how to go on.

    Args:
        kind: "teacher", "student", "study" or "compare".
        keeping: Where to keep it.
        facts: What going on needs to know.
        around: What its own run finds.
        stopped: The journal of a command that is gone on with.
        known_by: The signature of a new one.

    Raises:
        KdflowError: the journal is in use, or cannot be written.
        TrackingError: at the end, the store does not have everything.
    """
    store = {"store": redact(uri())}
    journal = stopped or Journal.begin(Path(keeping.runs_dir), kind, {**facts, **store}, signature=known_by)
    with journal.locked():
        outbox = Outbox(journal, offline=keeping.offline, around=around, is_carried=keeping.is_carried)
        try:
            outbox.tell()
            with _full_disk_told(journal.folder):
                yield outbox
        except (Stopped, KeyboardInterrupt, Exception) as error:
            if isinstance(error, DivergedError):
                with suppress(KdflowError):  # on a full disk the first error is still the one to tell
                    outbox.write("tags", journal.key, tags={DIVERGED: "true"})
            _end_runs(outbox, "FAILED" if isinstance(error, Exception) else "KILLED")
            outbox.settle(within=LAST_WORDS)
            if kind != "compare" and not isinstance(error, DivergedError):
                error.add_note(f"go on with: {_how_to_go_on(journal, keeping)}")
            raise
        outbox.require_told()
        outbox.put_down()
        shutil.rmtree(journal.checkpoints, ignore_errors=True)  # nothing is left to go on with
        if outbox.offline:
            say(f"Kept in {journal.folder}; `{typed(journal.sync_command)}` tells the store.", vital=True)


def _is_left(journal: Journal, *, offline: bool) -> bool:
    """Whether anything of a command is left to do, or to tell the store."""
    return journal.can_go_on or bool(journal.finished and journal.pending and not offline)


def _tell_stopped_attempts(kind: str, known_by: str, keeping: KeepingConfig) -> None:
    """Where all is anew, what would go on with an earlier attempt is said."""
    attempts = Journal.attempts(Path(keeping.runs_dir), kind, known_by)
    if stopped := [one for one in attempts if one.can_go_on and not one.is_in_use]:
        say(f"An attempt at this was stopped; go on with it: {_how_to_go_on(stopped[-1], keeping)}", vital=True)


def _how_to_go_on(journal: Journal, keeping: KeepingConfig) -> str:
    here = f"{journal.resume_command}{' --offline true' * keeping.offline}"
    return how_to_go_on(journal.started["kind"], journal.reference, keeping.runs_dir, here=here)


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """Where not even a folder can be made, Python says less than a user must know."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise files.unwritable(folder, error, needed=1) from error


def prepare(kind: str, config: Config, *, nested: bool = False) -> Session[Config]:
    """Checks what can be checked before any work, reads the data, and finds what is gone on with.

    Args:
        kind: "teacher", "student" or "study".
        config: Its options.
        nested: Whether its own run is nested in the active run of MLflow.

    Raises:
        UsageError: other options are given than those of the run that is gone on with.
        DataError: the data cannot be used, or are not those of that run.
        TrackingError: the store cannot be used.
        KdflowError: the run cannot be gone on with, or `--runs-dir` not written to.
    """
    keeping = config.keeping
    around = Surroundings.found(texts(config), nested=nested)
    journal = stopped_run(kind, keeping.resume, keeping.runs_dir) if keeping.resume else None
    if journal:
        _require_same_identity(journal)
        require_same_options(journal, config)
        config = replace(config, runtime=same_threads(journal, config.runtime))
        journal.require_unused()
    preflight.require(
        lambda: files.require_writable(Path(keeping.runs_dir), option="--runs-dir"),
        lambda: require_known(config.data),
        lambda: preflight.require_networks(config),
        lambda: require_device(config.runtime),
        lambda: None if keeping.offline else require_tracking(around, journal),
    )
    drawing.require()  # which takes a second: what is refused is refused without
    if journal and not keeping.offline:
        reopen(journal)
    data, runtime = load(config.data), resolve(config.runtime)
    if not keeping.offline:
        make_ready(journal, named=around.run)
    say(
        f"{data.name}: {len(data.train):,} training, {len(data.val):,} validation, {len(data.test):,} test images, "
        f"{len(data.classes)} classes (digest {data.digest[:8]}); {runtime.describe()}"
    )
    if data.validation:
        say(validation_note(data.validation))
    if journal:
        require_same_data(journal, data)
        tell_differences(journal, runtime)
    return Session(kind, config, data, runtime, journal, around)


def _require_same_identity(journal: Journal) -> None:
    """Runs of a command that goes on are found by signatures as they were made when it began."""
    if journal.started.get("identity") != SCHEMA:
        raise KdflowError(
            f"--resume {journal.id}: it was begun by a version of kdflow that computes otherwise: go on with that "
            "version, or begin a new run"
        )


def require_tracking(around: Surroundings, journal: Journal | None = None, otherwise: str = OFFLINE) -> None:
    """Makes sure that the store takes runs and artifacts, and that the runs which the environment names can be used.

    Args:
        around: What the command's own run finds.
        journal: Of a command that is gone on with.
        otherwise: What to do if the store cannot be used.

    Raises:
        TrackingError: see `require_whole_store`, `require_ready`, `require_artifacts_in_place` and
            `require_surroundings`.
    """
    require_whole_store()
    require_ready(journal, otherwise, named=around.run)
    require_artifacts_in_place()
    require_surroundings(around)


def readable(runs_dir: str, *, offline: bool) -> Runs:
    """Where runs are read from: the store, or what is kept here where it cannot be asked."""
    return JournalRuns(Path(runs_dir)) if offline else StoreRuns()


def _end_runs(outbox: Outbox, status: str) -> None:
    """Ends the runs of a command that failed while one of them was being begun or ended."""
    for key in outbox.journal.open:
        with suppress(KdflowError):  # whatever cannot be kept is told all the same
            outbox.write("status", key, status=status)
