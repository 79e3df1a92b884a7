"""Where runs go: the MLflow store, its experiment, and how its failures are told."""

import fcntl
import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
from alembic.util import CommandError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy.exc import SQLAlchemyError

from kdflow.errors import TrackingError

EXPERIMENT = "kdflow"

# What MLflow raises when a store is away, locked, damaged or refuses. A failed upload is an OSError, as all errors of
# requests are; a sqlite file of a newer MLflow is a CommandError.
TROUBLE = (MlflowException, SQLAlchemyError, CommandError, OSError)

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def reported(function: Callable[P, R]) -> Callable[P, R]:
    """Turns a failure of MLflow into a `TrackingError` of one line."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TROUBLE as error:
            raise TrackingError(f"the MLflow store {redact(uri())} cannot be used: {failure(error)}") from error

    return wrapper


def failure(error: Exception) -> str:
    """One line on what the store said."""
    return redact(str(error).partition("\n")[0])


@reported
def require_store() -> None:
    """Asks the store for something, to learn before any work whether it can be used.

    Raises:
        TrackingError: it cannot.
    """
    client().search_experiments(max_results=1)


def quiet() -> None:
    """Keeps MLflow from saying more than its errors, in this process."""
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.ERROR)


def client() -> MlflowClient:
    """The client of the store that MLFLOW_TRACKING_URI names; by default one sqlite file in the working directory."""
    _prepare(uri())
    return MlflowClient()


@cache
def _prepare(address: str) -> None:
    """Creates the tables of a new sqlite store under a lock: processes that begin together would trip each other up."""
    if address.startswith("sqlite:"):
        name = f"kdflow-{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
        with (Path(tempfile.gettempdir()) / name).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            MlflowClient(address).search_experiments(max_results=1)


def uri() -> str:
    """The store's address."""
    return mlflow.get_tracking_uri()


def chosen_experiment() -> dict[str, str]:
    """The experiment that the environment chooses by id or name, or else "kdflow"."""
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return {"id": given}
    return {"name": os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)}


def experiment_id(chosen: Mapping[str, str] | None = None) -> str:
    """The id of a chosen experiment, by default of that of the environment; it is created at need."""
    chosen = chosen or chosen_experiment()
    if "id" in chosen:
        return chosen["id"]
    known = client().get_experiment_by_name(chosen["name"])
    if known is None:
        with suppress(MlflowException):  # another process may have been quicker; if not, it shows in the next line
            return client().create_experiment(chosen["name"])
        known = client().get_experiment_by_name(chosen["name"])
    if known is None or known.lifecycle_stage != "active":
        raise MlflowException(f"experiment {chosen['name']!r} is deleted or cannot be made")
    return known.experiment_id


def all_experiment_ids() -> list[str]:
    """Every experiment that is not deleted."""
    return [one.experiment_id for one in every_page(lambda token: client().search_experiments(page_token=token))]


def every_page(fetch: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """All entries of a paged search, given how to fetch the page of a token."""
    token = None
    while True:
        page = fetch(token)
        yield from page
        if not page.token:
            return
        token = page.token


def obstacle(run_id: str) -> str | None:
    """Why a run cannot be used, or None if it is finished and not deleted."""
    try:
        info = client().get_run(run_id).info
    except MlflowException as error:
        if not says_not_there(error):
            raise
        return f"there is no such run in {redact(uri())}"
    if info.lifecycle_stage != "active":
        return f"the run is deleted; restore it with `mlflow runs restore --run-id {run_id}`"
    if info.status != "FINISHED":
        return f"the run is {info.status}, not FINISHED; choose a finished one"
    return None


def says_not_there(error: MlflowException) -> bool:
    """Whether the store answers that there is no such thing, rather than that it cannot answer."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")


def redact(text: str) -> str:
    """A text whose addresses have lost user name, password and query."""
    return re.sub(r"(\w://)(?:[^\s/]*@)?([^\s?]*)(?:\?\S*)?", r"\1\2", text)
