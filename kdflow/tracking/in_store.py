"""Reading runs back from the MLflow store."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from mlflow.entities import Run as MlflowRun
from mlflow.entities import ViewType
from mlflow.exceptions import MlflowException

from kdflow.errors import TeacherError
from kdflow.text import command, redact
from kdflow.tracking.models import WEIGHTS_FOLDER, registered_name, versions
from kdflow.tracking.record import EVERY_EPOCH, Record
from kdflow.tracking.store import (
    TROUBLE,
    all_experiment_ids,
    client,
    every_page,
    obstacle,
    reported,
    says_not_there,
    uri,
)

PAGE = 1000


class InStore:
    """The runs of the store that MLFLOW_TRACKING_URI names."""

    @property
    def place(self) -> str:
        """Where the runs are, for messages."""
        return redact(uri())

    @reported
    def runs(self, *roles: str) -> list[Record]:
        """All runs of these roles that are not deleted, newest first."""
        found = [run for role in roles for run in _search(f"tags.`kdflow.role` = '{role}'")]
        return sorted(map(_record, found), key=lambda record: record.started, reverse=True)

    @reported
    def deleted(self, *roles: str) -> int:
        """How many runs of these roles are deleted."""
        return sum(1 for role in roles for _ in _search(f"tags.`kdflow.role` = '{role}'", ViewType.DELETED_ONLY))

    @reported
    def history(self, run_id: str, names: Iterable[str]) -> dict[str, list[float]]:
        """Per-epoch metrics of a run: the value of each epoch from 1, the last logged where there are several."""
        found: dict[str, list[float]] = {}
        for name in names:
            logged = sorted(client().get_metric_history(run_id, name), key=lambda metric: metric.timestamp)
            steps = {metric.step: metric.value for metric in logged}
            found[name] = [steps[step] for step in sorted(steps)]
        return found

    @reported
    def newest_teacher(self, data: Mapping[str, str]) -> str | None:
        """The run id of the newest registered teacher of data with these tags whose run is finished and not deleted."""
        run_ids = (str(one.run_id) for one in versions(registered_name("teacher", data["kdflow.data"]), data))
        return next((run_id for run_id in run_ids if obstacle(run_id) is None), None)

    @reported
    def resolve_run(self, reference: str) -> str:
        """The run id that a run id, `models:/name/version` or `models:/name@alias` stands for.

        Raises:
            TeacherError: there is no such run, version or alias, or the run is deleted or not finished.
        """
        run_id = _registered_run(reference) if reference.startswith("models:/") else reference
        if reason := obstacle(run_id):
            raise TeacherError(f"--teacher {reference}: {reason}")
        return run_id

    @contextmanager
    def weights_of(self, run_id: str) -> Iterator[Path]:
        """A private temporary folder with the weights and card of a run.

        Raises:
            TeacherError: the run keeps none.
        """
        with TemporaryDirectory(prefix="kdflow-") as folder:
            yield _download_weights(run_id, folder)

    def comparison_page(self, run_ids: Sequence[str]) -> str:
        """How to see some runs side by side in a browser, their params, metrics and charts."""
        try:
            experiments = sorted({client().get_run(run_id).info.experiment_id for run_id in run_ids})
        except TROUBLE:
            return f"in {self.place}, once it can be used again"
        runs, among = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (list(run_ids), experiments))
        page = f"/#/compare-runs?runs={runs}&experiments={among}&workflowType=machine_learning"
        store = redact(uri())
        if uri().startswith("http"):
            return store.rstrip("/") + page
        return f"{command('mlflow', 'ui', '--backend-store-uri', store)} (in the project: make ui), then http://127.0.0.1:5000{page}"


def _search(condition: str, view: int = ViewType.ACTIVE_ONLY) -> Iterator[MlflowRun]:
    experiments = all_experiment_ids()
    return every_page(
        lambda token: client().search_runs(experiments, condition, view, max_results=PAGE, page_token=token)
    )


def _record(run: MlflowRun) -> Record:
    params = {name: value.strip("'") for name, value in run.data.params.items()}
    steps = {metric.key: metric.step for metric in run.data.to_proto().metrics}
    return Record(
        run.info.run_id,
        run.info.status,
        run.info.start_time,
        params,
        dict(run.data.metrics),
        dict(run.data.tags),
        steps.get(EVERY_EPOCH, 0),
    )


def _registered_run(reference: str) -> str:
    name, at, alias = reference.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    try:
        found = client().get_model_version_by_alias(name, alias) if at else client().get_model_version(name, number)
    except MlflowException as error:
        if not says_not_there(error):
            raise
        raise TeacherError(f"--teacher {reference}: no such version or alias; {_what_there_is(name)}") from None
    return str(found.run_id)


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
        present = ", ".join(one.path for one in client().list_artifacts(run_id)) or "no artifact at all"
        raise TeacherError(
            f"--teacher {run_id}: the run has no {WEIGHTS_FOLDER} (it has {present}); is it a kdflow teacher?"
        )
    return Path(client().download_artifacts(run_id, WEIGHTS_FOLDER, folder))
