"""What a store refuses, and would refuse again, told apart from a store that cannot be used just now."""

import errno

from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from kdflow.common.errors import TrackingError

CREDENTIALS = (
    "give a name and a password that may do this in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a token "
    "in MLFLOW_TRACKING_TOKEN"
)
# Codes of MLflow, and of HTTP, that mean: later. Its code for everything else is told by what caused it.
_LATER = ["TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"]
_LATER += ["CANCELLED", "ABORTED", "RESOURCE_CONFLICT"]
_LATER_HTTP = (408, 425, 429, 502, 503, 504)
_UNKNOWN = "INTERNAL_ERROR"
_OF_DATABASE = "BAD_REQUEST"  # whatever a database fails with, but that it cannot be reached
_OF_CREDENTIALS = ("UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED")
_OF_FILES = [errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST]
_OF_FILES += [errno.ENAMETOOLONG, errno.ELOOP]


class Refused(TrackingError):
    """An entry cannot be told as things are, and those after it can.

    Args:
        reason: In a few words; empty where another refusal says it.
    """

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)


def is_refusal(error: BaseException) -> bool:
    """Whether the store answers that it will not do this one thing, rather than that it cannot answer now.

    An answer of 500 counts as one: the server is there, and fails at this alone.
    """
    if status := _status(error):
        return status not in _LATER_HTTP
    if isinstance(error, MlflowException):
        cause = error.__cause__ or error.__context__
        if error.error_code == _UNKNOWN and cause:
            return is_refusal(cause)
        return error.error_code not in _LATER
    if isinstance(error, OSError):
        return error.errno in _OF_FILES or "too many 500 error" in str(error)  # so say requests that were repeated
    return not isinstance(error, SQLAlchemyError | MemoryError)


def may_pass(error: BaseException) -> bool:
    """Whether what looks like a refusal may be a failure of the server, which answered but did not say why."""
    if status := _status(error):
        return status >= 500
    if isinstance(error, MlflowException):
        cause = error.__cause__ or error.__context__
        return error.error_code == _OF_DATABASE or (error.error_code == _UNKNOWN and (cause is None or may_pass(cause)))
    return "too many 500 error" in str(error)


def remedy(error: BaseException) -> str:
    """What a user can do about a refusal; empty where nothing is known."""
    if _status(error) in (401, 403) or getattr(error, "error_code", "") in _OF_CREDENTIALS:
        return CREDENTIALS
    if isinstance(error, OSError) and error.errno in _OF_FILES and error.filename:
        return f"make {error.filename} writable"
    return ""


def _status(error: BaseException) -> int | None:
    """Of a failed request, what the server answered with."""
    return getattr(getattr(error, "response", None), "status_code", None)
