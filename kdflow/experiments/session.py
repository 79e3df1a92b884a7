"""Starting a command, or going on with one that was stopped: its data, its machine, its journal."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic

from kdflow.analysis.cells import validation_note
from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.errors import KdflowError
from kdflow.config import CohortConfig, Resumable, StudentConfig, StudyConfig, texts
from kdflow.data import Dataset, lasting_name, load, require_known
from kdflow.device.runtime import Runtime, require_device, resolve
from kdflow.experiments import attempts, find_teacher, preflight
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.lifetime import begun
from kdflow.experiments.same_computation import computing, require_same_data, same_threads, tell_differences
from kdflow.experiments.stopped_run import require_same_options, stopped_run
from kdflow.journal import lock
from kdflow.journal.journal import Journal
from kdflow.reports import drawing
from kdflow.tracking.checks import OFFLINE, make_ready, require_artifacts_in_place, require_ready
from kdflow.tracking.container import require_whole_store
from kdflow.tracking.journal_runs import JournalRuns
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.pointers import reopen
from kdflow.tracking.readers import Runs
from kdflow.tracking.run import data_tags
from kdflow.tracking.store_runs import StoreRuns
from kdflow.tracking.surroundings import Surroundings, require_surroundings
from kdflow.training.identity import SCHEMA, Signer


@dataclass(frozen=True)
class Session(Generic[Resumable]):
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
    config: Resumable
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
    def alone(self, known_by: str) -> Iterator["Session[Resumable]"]:
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
            yield attempts.going_on(self, known_by)

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
            attempts.tell_stopped(self.kind, known_by, self.config.keeping)
        with begun(self.kind, self.config.keeping, facts, self.around, self.journal, known_by=known_by) as outbox:
            yield outbox


def prepare(
    kind: str, config: Resumable, *, asked: Resumable | None = None, nested: bool = False
) -> Session[Resumable]:
    """Checks what can be checked before any work, reads the data, and finds what is gone on with.

    Args:
        kind: "teacher", "student" or "study".
        config: Its options.
        asked: Its options as they were given, where some are settled since: `mlflow run` has logged those.
        nested: Whether its own run is nested in the active run of MLflow.

    Raises:
        UsageError: other options are given than those of the run that is gone on with.
        DataError: the data cannot be used, or are not those of that run.
        TrackingError: the store cannot be used.
        KdflowError: the run cannot be gone on with, or `--runs-dir` not written to.
    """
    keeping = config.keeping
    around = Surroundings.found(texts(asked or config), nested=nested)
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
