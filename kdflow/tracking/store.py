"""Where runs go: the MLflow store, its experiment, and how its failures are told."""

import fcntl
import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy.exc import SQLAlchemyError

from kdflow.errors import TrackingError

EXPERIMENT = "kdflow"

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def reported(function: Callable[P, R]) -> Callable[P, R]:
    """Turns a failure of MLflow into a `TrackingError` of one line."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except (MlflowException, SQLAlchemyError) as error:
            reason = str(error).partition("\n")[0]
            raise TrackingError(f"the MLflow store {redact(uri())} cannot be used: {reason}") from error

    return wrapper


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


def experiment_id() -> str:
    """The experiment that the environment names, or else "kdflow", created at need."""
    if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return given
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    experiment = client().get_experiment_by_name(name)
    return experiment.experiment_id if experiment else client().create_experiment(name)


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


def redact(address: str) -> str:
    """An address without user name and password."""
    scheme, slashes, rest = address.partition("://")
    return scheme + slashes + rest.rpartition("@")[2]
