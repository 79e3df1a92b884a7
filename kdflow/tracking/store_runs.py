"""Reading runs back from the MLflow store."""

import gc
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from sys import intern
from tempfile import TemporaryDirectory

from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from kdflow.common.errors import TeacherError
from kdflow.common.text import command, redact
from kdflow.journal.folders import KEY
from kdflow.tracking import links
from kdflow.tracking.address import uri
from kdflow.tracking.champion import CHAMPION
from kdflow.tracking.client import all_experiment_ids, client, every_page
from kdflow.tracking.presence import obstacle
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import EVERY_EPOCH, WEIGHTS_FOLDER, Record
from kdflow.tracking.references import LATEST, Reference
from kdflow.tracking.relocation import is_missing
from kdflow.tracking.surroundings import KEY_TAG, SIGNATURE_TAG
from kdflow.tracking.trouble import TROUBLE, reported, says_not_there

PAGE = 250
FEW = 50
"""Signatures that are asked for one by one."""
RUN_ID = re.compile(r"[0-9a-f]{32}")


class StoreRuns(Runs):
    """The runs of the store that MLFLOW_TRACKING_URI names."""

    @property
    def place(self) -> str:
        """See `Runs`."""
        return redact(uri())

    @reported
    def runs(self, *roles: str) -> list[Record]:
        """See `Runs`."""
        with _without_garbage_collection():
            found = [_record(run) for role in roles for run in _search(f"tags.`kdflow.role` = '{role}'")]
        return sorted(found, key=lambda record: record.started, reverse=True)

    @reported
    def finished(self, signatures: Collection[str]) -> list[Record]:
        """See `Runs`; of many signatures, all finished runs are gone through once."""
        over = "attributes.status = 'FINISHED' and"
        if len(signatures) <= FEW:
            asked = [f"{over} tags.`{SIGNATURE_TAG}` = '{one}'" for one in signatures]
        else:
            asked = [f"{over} tags.`kdflow.role` = '{role}'" for role in ("teacher", "student")]
        with _without_garbage_collection():
            found = [_record(run) for condition in asked for run in _search(condition)]
        wanted = set(signatures)
        known = [record for record in found if record.tags.get(SIGNATURE_TAG) in wanted]
        return sorted(known, key=lambda record: record.started, reverse=True)

    @reported
    def deleted(self, *roles: str) -> int:
        """See `Runs`."""
        return sum(1 for role in roles for _ in _search(f"tags.`kdflow.role` = '{role}'", ViewType.DELETED_ONLY))

    @reported
    def history(self, run_id: str, names: Iterable[str]) -> dict[str, list[float]]:
        """See `Runs`."""
        found: dict[str, list[float]] = {}
        for name in names:
            logged = sorted(client().get_metric_history(run_id, name), key=lambda metric: metric.timestamp)
            steps = {metric.step: metric.value for metric in logged}
            found[name] = [steps[step] for step in sorted(steps)]
        return found

    @reported
    def record(self, run_id: str) -> Record:
        """See `Runs`."""
        return _record(client().get_run(run_id))

    @reported
    def address(self, run_id: str) -> str:
        """See `Runs`."""
        known = client().search_model_versions(f"run_id = '{run_id}'")
        ours = [one for one in known if one.name.startswith("kdflow-")] or list(known)  # users register runs too
        return f"models:/{ours[0].name}/{ours[0].version}" if ours else ""

    @reported
    def resolve_run(self, text: str) -> str:
        """See `Runs`."""
        if KEY.match(text):  # by which it was known where it was trained, before the store gave it an id
            text = next(
                (run.info.run_id for run in _search(f"tags.`{KEY_TAG}` LIKE '{text}%'") if _is_told(run, text)), text
            )
        reference = Reference.read(text)
        if reference.signature:
            return reference.finished(self)
        run_id = _model_run(reference) if reference.of_model else reference.run
        if not (reference.of_model or RUN_ID.fullmatch(run_id)):
            run_id = reference.find(self.runs("teacher", "student")) or run_id
        if reason := obstacle(run_id):
            raise reference.refused(reason)
        return run_id

    @contextmanager
    def weights_of(self, run_id: str) -> Iterator[Path]:
        """See `Runs`; the folder is a private temporary one."""
        with TemporaryDirectory(prefix="kdflow-") as folder:
            yield _download_weights(run_id, folder)

    @reported
    def artifact(self, run_id: str, name: str) -> bytes | None:
        """See `Runs`."""
        if name not in (one.path for one in client().list_artifacts(run_id)):
            return None
        with TemporaryDirectory(prefix="kdflow-") as folder:
            return Path(client().download_artifacts(run_id, name, folder)).read_bytes()

    @reported
    def images(self, run_id: str) -> dict[str, int]:
        """See `Runs`."""
        seen = client().get_run(run_id).inputs
        with suppress(ValueError, KeyError):
            datasets = [one.dataset for one in seen.dataset_inputs] if seen else []
            return {one.name.rpartition("-")[2]: json.loads(one.profile or "")["images"] for one in datasets}
        return {}

    def run_page(self, run_id: str) -> str:
        """See `Runs`."""
        return links.page_of(run_id)

    def comparison_page(self, run_ids: Sequence[str]) -> str:
        """See `Runs`."""
        try:
            experiments = sorted({client().get_run(run_id).info.experiment_id for run_id in run_ids})
        except TROUBLE:
            return f"in {self.place}, once it can be used again"
        page = links.comparison(run_ids, experiments)
        if address := links.ui_address():
            return address + page
        store = redact(uri())
        ui = command("mlflow", "ui", "--backend-store-uri", store)
        return f"{ui} (in the project: make ui), then http://127.0.0.1:5000{page}"


def _search(condition: str, view: int = ViewType.ACTIVE_ONLY) -> Iterator[MlflowRun]:
    experiments = all_experiment_ids()
    return every_page(
        lambda token: client().search_runs(experiments, condition, view, max_results=PAGE, page_token=token)
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Within this, Python does not look for cycles among all that is there, which takes half the time of a search."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _is_told(run: MlflowRun, key: str) -> bool:
    """Whether the store was told a run that was known by a key where it was trained."""
    return run.data.tags[KEY_TAG].partition("@")[0] == key


def _record(run: MlflowRun) -> Record:
    params = {name: value.strip("'") for name, value in run.data.params.items() if name != KEY_TAG}
    steps = {metric.key: metric.step for metric in run.data.to_proto().metrics}
    return Record(
        run.info.run_id,
        run.info.status,
        run.info.start_time,
        _shared(params),
        {intern(name): value for name, value in run.data.metrics.items()},
        _shared(run.data.tags),
        steps.get(EVERY_EPOCH, 0),
        run.info.end_time or 0,
    )


def _shared(texts: Mapping[str, str]) -> dict[str, str]:
    """The same, of each text one copy in all runs: they repeat each other in most."""
    return {intern(name): intern(value) for name, value in texts.items()}


def _model_run(reference: Reference) -> str:
    try:
        if reference.name is None:
            return str(client().get_logged_model(reference.logged).source_run_id)
        return str(_version(reference.name, reference.version, reference.alias).run_id)
    except MlflowException as error:
        if not says_not_there(error):
            raise
    if reference.name is None:
        raise reference.refused("there is no such logged model")
    raise reference.refused(f"no such version or alias; {_what_there_is(reference.name)}")


def _version(name: str, version: str, alias: str | None) -> ModelVersion:
    if alias is not None:
        return client().get_model_version_by_alias(name, alias)
    if version.isdigit():
        return client().get_model_version(name, version)
    if not version and CHAMPION in client().get_registered_model(name).aliases:
        return client().get_model_version_by_alias(name, CHAMPION)
    found = every_page(lambda token: client().search_model_versions(f"name = '{name}'", page_token=token))
    staged = [one for one in found if version.lower() in ("", LATEST, str(one.current_stage).lower())]
    if not staged:
        raise MlflowException(f"no {version} version", RESOURCE_DOES_NOT_EXIST)
    return max(staged, key=lambda one: int(one.version))


def _what_there_is(name: str) -> str:
    try:
        aliases = client().get_registered_model(name).aliases
    except MlflowException as error:
        if not says_not_there(error):
            raise
        return f"no model {name!r} is registered"
    numbers = sorted(int(one.version) for one in client().search_model_versions(f"name = '{name}'"))
    listed = f"versions {', '.join(map(str, numbers))}" if numbers else "no versions"
    return f"{name} has {listed}" + "".join(f" and @{alias}" for alias in sorted(aliases))


@reported
def _download_weights(run_id: str, folder: str) -> Path:
    if not client().list_artifacts(run_id, WEIGHTS_FOLDER):
        run = client().get_run(run_id)
        if "kdflow.role" in run.data.tags and is_missing(run.info.artifact_uri):
            raise TeacherError(
                f"--teacher {run_id}: its artifacts should be in {run.info.artifact_uri}, which is not there: bring "
                "that folder back (one that was moved together with the store: `kdflow doctor --relocate`), or "
                "train it anew"
            )
        present = ", ".join(one.path for one in client().list_artifacts(run_id)) or "no artifact at all"
        raise TeacherError(
            f"--teacher {run_id}: the run has no {WEIGHTS_FOLDER} (it has {present}); "
            "is it the run of a teacher or student?"
        )
    return Path(client().download_artifacts(run_id, WEIGHTS_FOLDER, folder))
