"""Runs that the store has as running."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from mlflow.entities import Run as MlflowRun

from kdflow.tracking.client import all_experiment_ids, client, every_page
from kdflow.tracking.store_runs import PAGE
from kdflow.tracking.trouble import reported

PROCESS = re.compile(r"\S+ \d{1,9} \S+")


@dataclass(frozen=True)
class OpenRun:
    """A run that has not ended, as far as the store knows.

    Attributes:
        run_id: Of MLflow.
        name: Shown in the MLflow UI.
        process: That works on it (see `kdflow.common.process.identity`); empty if kdflow never began it.
    """

    run_id: str
    name: str
    process: str


@reported
def open_runs() -> list[OpenRun]:
    """All runs of kdflow, or made by `mlflow run` for it, that have not ended."""
    return [_open_run(run) for run in _search() if _is_ours(run)]


@reported
def close(run_ids: Iterable[str]) -> None:
    """Ends runs as KILLED."""
    for run_id in run_ids:
        client().set_terminated(run_id, "KILLED")


def _search() -> Iterator[MlflowRun]:
    experiments, running = all_experiment_ids(), "attributes.status = 'RUNNING'"
    return every_page(lambda token: client().search_runs(experiments, running, max_results=PAGE, page_token=token))


def _is_ours(run: MlflowRun) -> bool:
    tags = run.data.tags
    return "kdflow.role" in tags or tags.get("mlflow.project.entryPoint") in ("main", "teacher", "student", "compare")


def _open_run(run: MlflowRun) -> OpenRun:
    process = run.data.tags.get("kdflow.process", "")
    return OpenRun(run.info.run_id, run.info.run_name, process if PROCESS.fullmatch(process) else "")
