"""Reading runs back from the journals in `--runs-dir`, where no store can be asked."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from kdflow.errors import TeacherError
from kdflow.journal import Journal
from kdflow.tracking.models import WEIGHTS_FOLDER
from kdflow.tracking.record import EVERY_EPOCH, Record


class Kept:
    """The runs that journals tell of.

    Args:
        runs_dir: Where the journals are.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir

    @cached_property
    def _journals(self) -> list[Journal]:
        return list(Journal.every(self._runs_dir))

    @property
    def place(self) -> str:
        """Where the runs are, for messages."""
        return str(self._runs_dir)

    def runs(self, *roles: str) -> list[Record]:
        """All runs of these roles, newest first."""
        found = [_record(key, journal) for key, journal in self._every()]
        chosen = [record for record in found if record.tags.get("kdflow.role") in roles]
        return sorted(chosen, key=lambda record: record.started, reverse=True)

    def deleted(self, *roles: str) -> int:
        """How many runs of these roles are deleted, which only a store knows."""
        return 0

    def history(self, run_id: str, names: Iterable[str]) -> dict[str, list[float]]:
        """Per-epoch metrics of a run: the value of each epoch from 1."""
        key, journal = self._find(run_id)
        return journal.history(key, names)

    def newest_teacher(self, data: Mapping[str, str]) -> str | None:
        """The newest finished teacher of data with these tags."""
        teachers = (record for record in self.runs("teacher") if record.status == "FINISHED")
        return next((record.run_id for record in teachers if data.items() <= record.tags.items()), None)

    def resolve_run(self, reference: str) -> str:
        """The run that a run id or key stands for.

        Raises:
            TeacherError: there is none, or it is not finished.
        """
        key, journal = self._find(reference)
        if journal.status(key) != "FINISHED":
            raise TeacherError(f"--teacher {reference}: the run is {journal.status(key)}, not FINISHED; choose another")
        return journal.id_of(key)

    @contextmanager
    def weights_of(self, run_id: str) -> Iterator[Path]:
        """The folder with the weights and card of a run.

        Raises:
            TeacherError: the run keeps none.
        """
        key, journal = self._find(run_id)
        folder = journal.artifacts(key) / WEIGHTS_FOLDER
        if not folder.is_dir():
            raise TeacherError(f"--teacher {run_id}: the run has no {WEIGHTS_FOLDER}; is it a kdflow teacher?")
        yield folder

    def comparison_page(self, run_ids: Sequence[str]) -> str:
        """How the runs can be seen side by side once a store has them."""
        return "after `kdflow sync`, with `kdflow compare`"

    def _every(self) -> Iterator[tuple[str, Journal]]:
        for journal in self._journals:
            for entry in journal.entries:
                if entry["kind"] == "create":
                    yield entry["run"], journal

    def _find(self, reference: str) -> tuple[str, Journal]:
        for key, journal in self._every():
            if reference in (key, journal.id_of(key)):
                return key, journal
        raise TeacherError(
            f"--teacher {reference}: {self.place} keeps no such run, and the store is not asked: leave out --offline"
        )


def _record(key: str, journal: Journal) -> Record:
    (created,) = journal.of(key, "create")
    params = {name: value for entry in journal.of(key, "params") for name, value in entry["params"].items()}
    tags = dict(created["tags"])
    for entry in journal.of(key, "tags"):
        tags |= entry["tags"]
    if teacher := tags.get("kdflow.teacher_run_id"):
        tags["kdflow.teacher_run_id"] = Journal.id_for(journal.folder.parent, teacher)
    logged = journal.metrics(key)
    metrics = {name: steps[max(steps)] for name, steps in logged.items()}
    status, trained = journal.status(key) or "RUNNING", max(logged.get(EVERY_EPOCH, {0: 0}))
    return Record(journal.id_of(key), status, created["time"], params, metrics, tags, trained)
