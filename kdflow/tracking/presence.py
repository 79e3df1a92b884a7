"""Whether the runs and experiments that are meant are in the store."""

from collections.abc import Collection

from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException

from kdflow.common.errors import TrackingError
from kdflow.common.text import redact
from kdflow.tracking.address import plain_address, sqlite_file, uri
from kdflow.tracking.client import client
from kdflow.tracking.trouble import reported, says_not_there


@reported
def require_same_store(run_ids: Collection[str], begun_in: str) -> None:
    """Makes sure that what was begun in a store goes on there: a store is known by what it holds, not by its address.

    Args:
        run_ids: That the store gave; none if it was told nothing yet.
        begun_in: The store's address then, redacted.

    Raises:
        TrackingError: this store has none of these runs.
    """
    if not run_ids or any(_knows(run_id) for run_id in run_ids):
        return
    if (ours := redact(uri())) in (begun_in, redact(plain_address(begun_in))):
        raise TrackingError(
            f"{ours} is not what it was begun in: its runs are gone from there; what is kept "
            "can be told anew with `kdflow sync --experiment NAME`"
        )
    raise TrackingError(f"it was begun in {begun_in}, this is {ours}: set MLFLOW_TRACKING_URI to that")


@reported
def is_of_this_store(run_ids: Collection[str]) -> bool:
    """Whether the store has one of these runs, and it is not deleted."""
    return any(_knows(run_id) and absent(run_id) is None for run_id in run_ids)


def _knows(run_id: str) -> bool:
    file = sqlite_file()
    if file and not file.exists():  # which asking would make
        return False
    try:
        client().get_run(run_id)
    except MlflowException as error:
        if not says_not_there(error):
            raise
        return False
    return True


def obstacle(run_id: str) -> str | None:
    """Why a run cannot be used, or None if it is finished and not deleted."""
    run = _run(run_id)
    if reason := _absence(run_id, run):
        return reason
    if run and run.info.status != "FINISHED":
        return f"the run is {run.info.status}, not FINISHED; choose a finished one"
    return None


@reported
def absence(run_id: str) -> str | None:
    """Why nothing can be told of a run, or None if it is there and not deleted."""
    return absent(run_id)


def absent(run_id: str) -> str | None:
    """The same, with MLflow's own errors."""
    return _absence(run_id, _run(run_id))


def _run(run_id: str) -> Run | None:
    try:
        return client().get_run(run_id)
    except MlflowException as error:
        if not says_not_there(error):
            raise
        return None


def _absence(run_id: str, run: Run | None) -> str | None:
    if run is None:
        return f"there is no such run in {redact(uri())}"
    if run.info.lifecycle_stage == "active":
        return None
    restore = f"the run is deleted; restore it with `mlflow runs restore --run-id {run_id}`"
    return deletion(client().get_experiment(run.info.experiment_id)) or restore


def deletion(experiment: Experiment) -> str:
    """Why an experiment takes no runs and what to do about it; empty if it is not deleted."""
    if experiment.lifecycle_stage == "active":
        return ""
    restore = f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
    return f"experiment {experiment.name!r} is deleted: restore it with {restore}"
