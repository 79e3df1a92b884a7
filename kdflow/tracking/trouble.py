"""How failures of MLflow and of its store are told: one line on what the store said."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from kdflow.common.errors import KdflowError, TrackingError
from kdflow.common.text import redact
from kdflow.tracking.address import uri

R = TypeVar("R")
P = ParamSpec("P")
# What MLflow raises when a store is away, locked, damaged or refuses; a failed upload is an OSError, as all errors of
# requests are, and a database without its driver an ImportError.
TROUBLE = (MlflowException, SQLAlchemyError, OSError, ImportError)


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


def says_not_there(error: MlflowException) -> bool:
    """Whether the store answers that there is no such thing, rather than that it cannot answer."""
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")
