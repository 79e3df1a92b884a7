"""What a run that `mlflow run` has made for nothing says: which run is gone on with, or taken, in its place."""

import os

from mlflow.entities import RunTag

from kdflow.common import process
from kdflow.common.errors import KdflowError
from kdflow.journal.journal import Journal
from kdflow.tracking.client import client
from kdflow.tracking.presence import require_same_store
from kdflow.tracking.surroundings import is_made_for_nothing, is_named_by_user
from kdflow.tracking.trouble import reported


@reported
def reopen(journal: Journal) -> None:
    """Makes sure that a run can be gone on with, and says in the run that `mlflow run` made for this what it does.

    Any other run that the environment names is left as it is.

    Raises:
        KdflowError: the run is deleted.
        TrackingError: the store cannot be used, or does not know the run.
    """
    require_same_store(journal.ids.values(), journal.started["store"])
    if journal.key in journal.ids and client().get_run(journal.id).info.lifecycle_stage != "active":
        raise KdflowError(f"run {journal.id} is deleted; restore it with `mlflow runs restore --run-id {journal.id}`")
    _point("resume", journal.id, "kdflow.resumes")


@reported
def give_way(run_id: str) -> None:
    """Says in the run that `mlflow run` made for a command which run is taken in its place.

    Raises:
        TrackingError: the store cannot be used.
    """
    _point("reuse", run_id, "kdflow.reuses")


def _point(role: str, run_id: str, tag: str) -> None:
    if (made := os.environ.pop("MLFLOW_RUN_ID", "")) and is_made_for_nothing(run := client().get_run(made)):
        if not is_named_by_user(run):
            client().update_run(made, name=f"{role} {run_id}")
        tags = {"kdflow.role": role, tag: run_id, "kdflow.process": process.identity()}
        client().log_batch(made, tags=[RunTag(name, value) for name, value in tags.items()])
