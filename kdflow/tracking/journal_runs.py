"""Reading runs back from the journals in `--runs-dir`, where no store can be asked."""

import json
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from kdflow.common.errors import TeacherError
from kdflow.journal.entries import RUN_TAGS
from kdflow.journal.journal import Journal
from kdflow.tracking.champion import CHAMPION, best_first, candidates, newest_first
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import EVERY_EPOCH, WEIGHTS_FOLDER, Record
from kdflow.tracking.references import LATEST, Reference
from kdflow.tracking.surroundings import SIGNATURE_TAG


class JournalRuns(Runs):
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
        """See `Runs`."""
        return str(self._runs_dir)

    def runs(self, *roles: str) -> list[Record]:
        """See `Runs`."""
        found = [_record(key, journal) for key, journal in self._every()]
        chosen = [record for record in found if record.tags.get("kdflow.role") in roles]
        return sorted(chosen, key=lambda record: record.started, reverse=True)

    def finished(self, signatures: Collection[str]) -> list[Record]:
        """See `Runs`."""
        wanted = set(signatures)
        found = self.runs("teacher", "student")
        return [one for one in found if one.status == "FINISHED" and one.tags.get(SIGNATURE_TAG) in wanted]

    def deleted(self, *roles: str) -> int:
        """None that is known: only a store keeps what is deleted."""
        return 0

    def history(self, run_id: str, names: Iterable[str]) -> dict[str, list[float]]:
        """See `Runs`."""
        key, journal = self._find(Reference.read(run_id))
        return journal.history(key, names)

    def record(self, run_id: str) -> Record:
        """See `Runs`."""
        return _record(*self._find(Reference.read(run_id)))

    def address(self, run_id: str) -> str:
        """See `Runs`."""
        key, journal = self._find(Reference.read(run_id))
        return journal.addresses.get(key, "")

    def resolve_run(self, text: str) -> str:
        """See `Runs`."""
        reference = Reference.read(text)
        key, journal = self._find(reference)
        if journal.status(key) != "FINISHED":
            raise reference.refused(f"the run is {journal.status(key)}, not FINISHED; choose another")
        return journal.id_of(key)

    @contextmanager
    def weights_of(self, run_id: str) -> Iterator[Path]:
        """See `Runs`."""
        key, journal = self._find(Reference.read(run_id))
        folder = journal.artifacts(key) / WEIGHTS_FOLDER
        if not folder.is_dir():
            raise TeacherError(
                f"--teacher {run_id}: the run has no {WEIGHTS_FOLDER}; is it the run of a teacher or student?"
            )
        yield folder

    def artifact(self, run_id: str, name: str) -> bytes | None:
        """See `Runs`."""
        key, journal = self._find(Reference.read(run_id))
        path = journal.artifacts(key) / name
        return path.read_bytes() if path.is_file() else None

    def images(self, run_id: str) -> dict[str, int]:
        """See `Runs`."""
        key, journal = self._find(Reference.read(run_id))
        seen = [one for entry in journal.of(key, "inputs") for one in entry["datasets"]]
        return {one["context"]: json.loads(one["profile"])["images"] for one in seen}

    def run_page(self, run_id: str) -> str:
        """None: no server knows it."""
        return ""

    def comparison_page(self, run_ids: Sequence[str]) -> str:
        """See `Runs`."""
        return "after `kdflow sync`, with `kdflow compare`"

    def _every(self) -> Iterator[tuple[str, Journal]]:
        for journal in self._journals:
            for entry in journal.entries:
                if entry["kind"] == "create":
                    yield entry["run"], journal

    def _find(self, reference: Reference) -> tuple[str, Journal]:
        meant = self._registered(reference) if reference.name is not None else reference.run
        if reference.signature:
            meant = reference.finished(self)
        for key, journal in self._every():
            if meant and meant in (key, journal.id_of(key)):
                return key, journal
        if reference.run and (found := reference.find(self.runs("teacher", "student"))):
            return self._find(Reference.read(found))
        raise reference.refused(f"{self.place} keeps no such run, and the store is not asked: leave out --offline")

    def _registered(self, reference: Reference) -> str | None:
        """The run of a registered version, also of one that no store has yet: it will be the latest."""
        found = [(key, journal) for key, journal in self._every() if _model(key, journal) == reference.name]
        numbers = {journal.id_of(key): journal.addresses.get(key, "").rpartition("/")[2] for key, journal in found}
        models = candidates(_record(*one) for one in found)
        if reference.version.lower() == LATEST:
            latest = sorted(models, key=lambda one: (int(numbers[one.run_id] or sys.maxsize), one.started))
            return latest[-1].run_id if latest else None
        if reference.version:
            return next((run_id for run_id, number in numbers.items() if number == reference.version), None)
        newest = [one for one in newest_first(models) if reference.alias in (None, CHAMPION, one.own_alias)]
        return best_first(models, newest[0].data)[0].run_id if newest else None


def _model(key: str, journal: Journal) -> str | None:
    """The name under which a run's model is registered, or will be."""
    return next((str(entry["model"]) for entry in journal.of(key, "register")), None)


def _record(key: str, journal: Journal) -> Record:
    (created,) = journal.of(key, "create")
    params = {name: value for entry in journal.of(key, "params") for name, value in entry["params"].items()}
    tags = dict(created["tags"])
    for entry in journal.of(key, "tags"):
        tags |= entry["tags"]
    for told in (tags, params):
        told |= {name: Journal.id_for(journal.folder.parent, told[name]) for name in RUN_TAGS if told.get(name)}
    logged = journal.metrics(key)
    metrics = {name: steps[max(steps)] for name, steps in logged.items()}
    status, trained = journal.status(key) or "RUNNING", max(logged.get(EVERY_EPOCH, {0: 0}))
    ends = [entry["time"] for entry in journal.of(key, "status") if entry["status"] != "RUNNING"]
    ended = ends[-1] if ends and status != "RUNNING" else 0
    return Record(journal.id_of(key), status, created["time"], params, metrics, tags, trained, ended)
