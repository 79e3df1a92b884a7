"""How long a store is waited for, and at which address MLflow's own functions find it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext

from sqlalchemy.exc import SQLAlchemyError

from kdflow.tracking.address import sqlite_file, uri

START_PATIENCE = 10.0
"""Seconds that a command waits at its start for the store's first answer."""


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
