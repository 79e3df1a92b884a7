"""Links into MLflow's pages that a browser can open, in the view of training runs.

Without `workflowType`, MLflow opens the view of language-model traces, in which there are no runs.
"""

import json
import os
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import quote

from mlflow.entities import Experiment, Run

from kdflow.common.text import plain, redact
from kdflow.tracking.address import uri
from kdflow.tracking.client import client, every_page
from kdflow.tracking.patience import START_PATIENCE, bounded, impatient
from kdflow.tracking.trouble import TROUBLE, reported

VIEW = "workflowType=machine_learning"
EXPERIMENTS_PAGE = f"/#/experiments?{VIEW}"
ORDER = ["last_update_time DESC"]


def ui_address() -> str:
    """Where a browser finds MLflow: as KDFLOW_UI_URL says, or else at the store, if that is a server; empty if not."""
    address = os.environ.get("KDFLOW_UI_URL") or (uri() if uri().startswith("http") else "")
    return redact(address).rstrip("/")


def comparison(run_ids: Sequence[str], experiments: Sequence[str]) -> str:
    """The path of the page with some runs side by side."""
    runs, among = (quote(json.dumps(ids, separators=(",", ":"))) for ids in (list(run_ids), list(experiments)))
    return f"/#/compare-runs?runs={runs}&experiments={among}&{VIEW}"


def run_page(run_id: str, experiment_id: str) -> str:
    """The path of the page of one run."""
    return f"/#/experiments/{experiment_id}/runs/{run_id}?{VIEW}"


def experiment_page(experiment_id: str) -> str:
    """The path of the page with the runs of an experiment."""
    return f"/#/experiments/{experiment_id}/runs?{VIEW}"


def page_of(run_id: str) -> str:
    """The whole address of a run's page; empty where no server is known, or it does not answer now."""
    address = ui_address()
    with suppress(*TROUBLE), bounded():
        return address + run_page(run_id, client().get_run(run_id).info.experiment_id) if address else ""
    return ""


@reported
def pages() -> dict[str, str]:
    """Experiments with runs of kdflow, the last used first, each with its newest study: names and paths of pages."""
    with impatient(START_PATIENCE):
        every = list(every_page(lambda token: client().search_experiments(order_by=ORDER, page_token=token)))
        found = {}
        for one in every:
            if _newest(one, "LIKE '%'"):
                found[f"Experiment {one.name}"] = experiment_page(one.experiment_id)
            for study in _newest(one, "= 'study'"):
                found[f"Newest study in {one.name}, {plain(study.info.run_name)}"] = run_page(
                    study.info.run_id, one.experiment_id
                )
        return found


def _newest(experiment: Experiment, role: str) -> list[Run]:
    """The newest run of an experiment whose role meets a condition, if there is one."""
    asked, order = f"tags.`kdflow.role` {role}", ["attributes.start_time DESC"]
    return list(client().search_runs([experiment.experiment_id], asked, max_results=1, order_by=order))
