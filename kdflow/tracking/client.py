"""The client of the MLflow store."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.store.entities import PagedList

from kdflow.tracking.address import uri

T = TypeVar("T")
_LOGGERS = (logging.getLogger("alembic"), logging.getLogger("mlflow"))


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
        # The lock does not follow a link of that name, which could lead anywhere where anybody may write.
        with FileLock(path, mode=0o600), _no_folder_of_its_quoted_name(address):
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
