"""What entries of a journal say about the runs that they are of."""

from collections.abc import Iterable
from typing import Any

Entry = dict[str, Any]
"""With `kind`, `run` (its key), `time` (milliseconds since 1970), and what its kind needs."""
PARENT, TEACHER = "mlflow.parentRunId", "kdflow.teacher_run_id"
"""Tags: the run in which another is nested, and the one that taught it."""
RUN_TAGS = (PARENT, "kdflow.study_id", TEACHER, "teacher_run_id")
"""Tags and params whose values are runs: keys of journals until the store has given them ids."""


def runs_named(entry: Entry) -> set[str]:
    """The runs that an entry refers to, by key or id."""
    told = {**entry.get("tags", {}), **entry.get("params", {})}
    return {value for name, value in told.items() if name in RUN_TAGS}


class Entries:
    """Entries in their order."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Leaves none."""
        self.entries: list[Entry] = []
        self._metrics: dict[str, dict[str, dict[int, float]]] = {}

    def note(self, entry: Entry) -> None:
        """Adds one."""
        self.entries.append(entry)
        for name, value in entry.get("metrics", {}).items():
            self._metrics.setdefault(entry["run"], {}).setdefault(name, {})[entry["step"]] = value

    def of(self, key: str, kind: str) -> list[Entry]:
        """The entries of one kind for one run."""
        return [entry for entry in self.entries if entry["run"] == key and entry["kind"] == kind]

    @property
    def begun(self) -> list[str]:
        """All runs, in the order in which they were begun."""
        return [entry["run"] for entry in self.entries if entry["kind"] == "create"]

    @property
    def open(self) -> list[str]:
        """The runs that were begun and not ended, the last begun first."""
        return [key for key in reversed(self.begun) if self.status(key) == "RUNNING"]

    def status(self, key: str) -> str | None:
        """How a run stands; None if it was never begun."""
        told = self.of(key, "status")
        return told[-1]["status"] if told else "RUNNING" if self.of(key, "create") else None

    def texts(self, key: str) -> dict[str, str]:
        """How a run and what belongs to it was described last, by what is described."""
        return {what: text for entry in self.of(key, "describe") for what, text in entry["texts"].items()}

    def metrics(self, key: str) -> dict[str, dict[int, float]]:
        """What was logged for a run: metric name to its values by step."""
        return self._metrics.get(key, {})

    def history(self, key: str, names: Iterable[str]) -> dict[str, list[float]]:
        """Of these metrics, those that were logged for a run: the values of epochs 1, 2, ..."""
        logged = self.metrics(key)
        return {name: [logged[name][step] for step in sorted(logged[name])] for name in names if name in logged}
