"""What is asked of runs, wherever they are read from: the MLflow store, or the journals that are kept here."""

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from kdflow.tracking.record import Record


class Runs(Protocol):
    """A place of runs: `StoreRuns` asks the MLflow store, `JournalRuns` reads the journals in `--runs-dir`.

    A run is called by its id in the store, or by its key where no store has it yet.
    """

    @property
    def place(self) -> str:
        """Where the runs are, for messages."""

    def runs(self, *roles: str) -> list[Record]:
        """All runs of these roles that are not deleted, newest first."""

    def finished(self, signatures: Collection[str]) -> list[Record]:
        """The finished runs that are known by one of these signatures, newest first."""

    def deleted(self, *roles: str) -> int:
        """How many runs of these roles are deleted, as far as that is known."""

    def history(self, run_id: str, names: Iterable[str]) -> dict[str, list[float]]:
        """Per-epoch metrics of a run: the value of each epoch from 1, the last logged where there are several."""

    def record(self, run_id: str) -> Record:
        """One run."""

    def address(self, run_id: str) -> str:
        """Of a run's registered version, such as "models:/kdflow-teacher-digits/2"; empty if no store has one."""

    def resolve_run(self, text: str) -> str:
        """The run that a text stands for (see `kdflow.tracking.references`).

        Raises:
            TeacherError: there is no such run, version or alias, there are several, or the run is deleted or not
                finished.
        """

    def weights_of(self, run_id: str) -> AbstractContextManager[Path]:
        """Within this, a folder with the weights and card of a run.

        Raises:
            TeacherError: the run keeps none.
        """

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """The content of a file at the top of a run's artifacts; None if it has none of that name."""

    def images(self, run_id: str) -> dict[str, int]:
        """How many images of each part a run saw, such as "train"; empty if that is not known."""

    def run_page(self, run_id: str) -> str:
        """Where a browser finds a run; empty where no server is known."""

    def comparison_page(self, run_ids: Sequence[str]) -> str:
        """How to see some runs side by side in a browser."""
