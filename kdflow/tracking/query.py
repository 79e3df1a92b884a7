"""Reading runs back from the store."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from mlflow.entities import Run as MlflowRun

from kdflow.tracking.store import all_experiment_ids, client, every_page, redact, reported, uri

PAGE = 1000


@dataclass(frozen=True)
class Record:
    """A run as the store has it.

    Attributes:
        run_id: Of MLflow.
        status: FINISHED, RUNNING, FAILED, KILLED or SCHEDULED.
        started: Milliseconds since 1970.
        params: Texts, as logged; quotes that `mlflow run` puts around a value are taken off.
        metrics: Last values.
        tags: All tags.
    """

    run_id: str
    status: str
    started: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


@reported
def runs(*roles: str) -> list[Record]:
    """All runs of these roles in the store that are not deleted, newest first."""
    found = [run for role in roles for run in _search(f"tags.`kdflow.role` = '{role}'")]
    return sorted(map(_record, found), key=lambda record: record.started, reverse=True)


@reported
def histories(run_id: str, names: list[str]) -> dict[str, list[float]]:
    """Per-epoch metrics of a run: the value of each epoch from 1, the last logged where there are several."""
    found: dict[str, list[float]] = {}
    for name in names:
        logged = sorted(client().get_metric_history(run_id, name), key=lambda metric: metric.timestamp)
        steps = {metric.step: metric.value for metric in logged}
        found[name] = [steps[step] for step in sorted(steps)]
    return found


@reported
def comparison_page(run_ids: Sequence[str]) -> str:
    """How to see some runs side by side in a browser, their params, metrics and charts."""
    experiments = sorted({client().get_run(run_id).info.experiment_id for run_id in run_ids})
    runs, among = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (list(run_ids), experiments))
    page = f"/#/compare-runs?runs={runs}&experiments={among}&workflowType=machine_learning"
    if uri().startswith("http"):
        return redact(uri()).rstrip("/") + page
    return f"mlflow ui --backend-store-uri {redact(uri())} (in the project: make ui), then http://127.0.0.1:5000{page}"


def _search(condition: str) -> Iterator[MlflowRun]:
    experiments = all_experiment_ids()
    return every_page(lambda token: client().search_runs(experiments, condition, max_results=PAGE, page_token=token))


def _record(run: MlflowRun) -> Record:
    params = {name: value.strip("'") for name, value in run.data.params.items()}
    return Record(
        run.info.run_id, run.info.status, run.info.start_time, params, dict(run.data.metrics), dict(run.data.tags)
    )
