"""Where runs go: the MLflow store, and how its failures are told."""

import fcntl
import hashlib
import logging
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from functools import cache, wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kdflow.common.errors import KdflowError, TrackingError
from kdflow.common.text import redact

START_PATIENCE = 10.0
"""Seconds that a command waits at its start for the store's first answer."""

# What MLflow raises when a store is away, locked, damaged or refuses; a failed upload is an OSError, as all errors of
# requests are, and a database without its driver an ImportError.
TROUBLE = (MlflowException, SQLAlchemyError, OSError, ImportError)

_LOGGERS = (logging.getLogger("alembic"), logging.getLogger("mlflow"))

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


@contextmanager
def reporting() -> Iterator[None]:
    """Within this, a failure of MLflow becomes a `TrackingError` of one line."""
    try:
        yield
    except TROUBLE as error:
        raise TrackingError(f"the MLflow store {redact(uri())} cannot be used: {failure(error)}") from error


def reported(function: Callable[P, R]) -> Callable[P, R]:
    """A function that is all `reporting`."""

    @wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        with reporting():
            return function(*args, **kwargs)

    return wrapper


def _database_error(error: Exception) -> BaseException:
    """What the database itself said, which MLflow and sqlalchemy wrap in their own words."""
    inner = error.__cause__ or error.__context__ if isinstance(error, MlflowException) else error
    return inner.orig or error if isinstance(inner, DBAPIError) else error


def failure(error: Exception) -> str:
    """One line on what the store said; of a request that failed, the cause."""
    if not isinstance(error, (*TROUBLE, KdflowError)):
        return redact(f"{type(error).__name__}: {error}".partition("\n")[0])
    said, _, cause = str(_database_error(error)).partition("\n")[0].partition(" (Caused by ")
    return redact(cause.rpartition("): ")[2].rstrip("\"')") or said)


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
    if (ours := redact(uri())) in (begun_in, redact(_plain(begun_in))):
        raise TrackingError(
            f"{ours} is not what it was begun in: its runs are gone from there; what is kept "
            "can be told anew with `kdflow sync --experiment NAME`"
        )
    raise TrackingError(f"it was begun in {begun_in}, this is {ours}: set MLFLOW_TRACKING_URI to that")


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


def bounded() -> AbstractContextManager[None]:
    """Within this, a server is waited for as long as the environment says, and else no longer than at the start."""
    return nullcontext() if "MLFLOW_HTTP_REQUEST_TIMEOUT" in os.environ else impatient(START_PATIENCE)


@contextmanager
def impatient(seconds: float) -> Iterator[None]:
    """Within this, a server that is silent for so long is given up, without a second attempt."""
    with _environment(MLFLOW_HTTP_REQUEST_TIMEOUT=str(int(seconds)), MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"):
        yield


@contextmanager
def addressed() -> Iterator[None]:
    """Within this, MLflow's own functions find the store at the address that `client` uses.

    Unless a program has given MLflow another address than the environment's, which goes before that.
    """
    with _environment(MLFLOW_TRACKING_URI=uri()):
        yield


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
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


@contextmanager
def quieted(level: int = logging.ERROR) -> Iterator[None]:
    """Within this, MLflow says no more than its errors, or nothing of less weight than another level."""
    levels = [logger.level for logger in _LOGGERS]
    for logger in _LOGGERS:
        logger.setLevel(level)
    try:
        yield
    finally:
        for logger, before in zip(_LOGGERS, levels, strict=True):
            logger.setLevel(before)


def client() -> MlflowClient:
    """The client of the store that MLFLOW_TRACKING_URI names; by default one sqlite file in the working directory."""
    _prepare(uri())
    return MlflowClient(uri())


@cache
def _prepare(address: str) -> None:
    """Creates the tables of a new sqlite store under a lock: processes that begin together would trip each other up."""
    if address.startswith("sqlite:"):
        name = f"kdflow-{os.getuid()}-{hashlib.sha256(address.encode()).hexdigest()[:16]}.lock"
        path = Path(tempfile.gettempdir()) / name
        # Where anybody may write, a link of that name could lead anywhere.
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "rb+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with _no_folder_of_its_quoted_name(address):
                MlflowClient(address).search_experiments(max_results=1)


@contextmanager
def _no_folder_of_its_quoted_name(address: str) -> Iterator[None]:
    """MLflow makes the folder of a sqlite file, and by a wrong name where its path has to be quoted."""
    folder = Path(address.removeprefix("sqlite:///")).parent
    made = [one for one in (folder, *folder.parents) if "%" in str(one) and not one.exists()]
    yield
    for one in made:
        with suppress(OSError):
            one.rmdir()


def uri() -> str:
    """The store's address."""
    return _plain(mlflow.get_tracking_uri())


def _plain(address: str) -> str:
    """The address of a sqlite file with its path as it is: MLflow would make folders by the name that it reads.

    Only what sqlalchemy would take for something else stays quoted.
    """
    url = make_url(address) if address.startswith("sqlite:///") else None
    if url is None or not url.database:
        return address
    path = re.sub("%(?=[0-9A-Fa-f]{2})", "%25", url.database).replace("?", "%3F")
    return f"sqlite:///{path}{address[address.find('?') :] if url.query else ''}"


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


def says_not_there(error: MlflowException) -> bool:
    """Whether the store answers that there is no such thing, rather than that it cannot answer."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")
