"""Links into MLflow's pages that a browser can open, in the view of training runs.

Without `workflowType`, MLflow opens the view of language-model traces, in which there are no runs.
"""

import json
import os
from collections.abc import Sequence
from urllib.parse import quote

from mlflow.entities import Experiment

from kdflow.common.text import redact
from kdflow.tracking.address import uri
from kdflow.tracking.client import client, every_page
from kdflow.tracking.patience import START_PATIENCE, impatient
from kdflow.tracking.trouble import reported

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


def run_page(run_id: str, experiment: str) -> str:
    """The path of the page of a run."""
    return f"/#/experiments/{experiment}/runs/{run_id}?{VIEW}"


@reported
def experiment_pages() -> dict[str, str]:
    """The names of the experiments in which kdflow has runs, the last used first, and the paths of their pages."""
    with impatient(START_PATIENCE):
        found = list(every_page(lambda token: client().search_experiments(order_by=ORDER, page_token=token)))
        return {one.name: f"/#/experiments/{one.experiment_id}/runs?{VIEW}" for one in found if _has_runs(one)}


def _has_runs(experiment: Experiment) -> bool:
    return bool(client().search_runs([experiment.experiment_id], "tags.`kdflow.role` LIKE '%'", max_results=1))
