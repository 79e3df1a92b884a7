"""Where runs go: the MLflow store, its experiment, and how its failures are told."""

import fcntl
import hashlib
import logging
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from kdflow.errors import KdflowError, TrackingError
from kdflow.text import redact

EXPERIMENT = "kdflow"
START_PATIENCE = 10.0
"""Seconds that a command waits at its start for the store's first answer."""

# What MLflow raises when a store is away, locked, damaged or refuses; a failed upload is an OSError, as all errors of
# requests are, and a database without its driver an ImportError.
TROUBLE = (MlflowException, SQLAlchemyError, OSError, ImportError)

_LOGGERS = (logging.getLogger("alembic"), logging.getLogger("mlflow"))

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
    """One line on what the store said; of a request that failed, the cause."""
    if not isinstance(error, (*TROUBLE, KdflowError)):
        return redact(f"{type(error).__name__}: {error}".partition("\n")[0])
    said, _, cause = str(error).partition("\n")[0].partition(" (Caused by ")
    return redact(cause.rpartition("): ")[2].rstrip("\"')") or said)


def require_store(remedy: str = "train now with --offline, and tell it later with `kdflow sync`") -> None:
    """Learns before any work whether the store can be used; a sqlite file that is not there yet is not made for this.

    Args:
        remedy: What to do if it cannot.

    Raises:
        TrackingError: it cannot.
    """
    try:
        _ask()
    except TrackingError as error:
        raise TrackingError(f"{error}; {remedy}") from error


@reported
def _ask() -> None:
    file = sqlite_file()
    if file is None or file.exists():
        require_unlocked(START_PATIENCE)
        with impatient(START_PATIENCE):
            client().search_experiments(max_results=1)
    elif not os.access(file.parent, os.W_OK):
        raise PermissionError(f"{file.parent} is no folder that can be written to")


def require_same_store(theirs: str) -> None:
    """Makes sure that what was begun in a store goes on there.

    Args:
        theirs: The store's address, redacted.

    Raises:
        TrackingError: this is another one.
    """
    if (ours := redact(uri())) != theirs:
        raise TrackingError(f"it was begun in {theirs}, this is {ours}: set MLFLOW_TRACKING_URI to that")


def bounded() -> AbstractContextManager[None]:
    """Within this, a server is waited for as long as the environment says, and else no longer than at the start."""
    return nullcontext() if "MLFLOW_HTTP_REQUEST_TIMEOUT" in os.environ else impatient(START_PATIENCE)


@contextmanager
def impatient(seconds: float) -> Iterator[None]:
    """Within this, a server that is silent for so long is given up, without a second attempt."""
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(int(seconds)), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def require_unlocked(seconds: float) -> None:
    """Waits for a sqlite file that another process holds; MLflow itself would wait longer, or give up at once.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it is locked for so long.
    """
    if (path := sqlite_file()) and path.exists():
        try:
            with closing(sqlite3.connect(path, timeout=seconds)) as store:
                store.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise SQLAlchemyError(str(error)) from error


def sqlite_file() -> Path | None:
    """The file of a sqlite store; None if the store is something else."""
    address = make_url(uri()) if uri().startswith("sqlite:") else None
    return Path(address.database) if address and address.database else None


def quiet() -> None:
    """Keeps MLflow from saying more than its errors, in this process."""
    for logger in _LOGGERS:
        logger.setLevel(logging.ERROR)


@contextmanager
def quieted() -> Iterator[None]:
    """Within this, MLflow says no more than its errors."""
    levels = [logger.level for logger in _LOGGERS]
    quiet()
    try:
        yield
    finally:
        for logger, level in zip(_LOGGERS, levels, strict=True):
            logger.setLevel(level)


def client() -> MlflowClient:
    """The client of the store that MLFLOW_TRACKING_URI names; by default one sqlite file in the working directory."""
    _prepare(uri())
    return MlflowClient()


@cache
def _prepare(address: str) -> None:
    """Creates the tables of a new sqlite store under a lock: processes that begin together would trip each other up."""
    if address.startswith("sqlite:"):
        name = f"kdflow-{os.getuid()}-{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
        path = Path(tempfile.gettempdir()) / name
        # Where anybody may write, a link of that name could lead anywhere.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as lock:
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
