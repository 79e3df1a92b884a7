"""Whether the store answers, can be written to, and is of a version of MLflow that can be used."""

import os
import re
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException, RestException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import create_engine, inspect, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from kdflow.common import files
from kdflow.common.errors import TrackingError
from kdflow.common.text import redact
from kdflow.tracking import schema
from kdflow.tracking.address import sqlite_file, uri
from kdflow.tracking.client import client
from kdflow.tracking.patience import START_PATIENCE, impatient, require_unlocked
from kdflow.tracking.refusals import is_refusal, remedy
from kdflow.tracking.trouble import reported

_ELSEWHERE = "or name another store in MLFLOW_TRACKING_URI"


def require_answer() -> None:
    """Makes sure that the store can be written to and knows what MLflow 3 asks for; no sqlite file is made for this.

    Raises:
        TrackingError: it is of another kind or version, or its address is none.
        MlflowException: it cannot be used; `SQLAlchemyError` and `OSError` for a sqlite file.
    """
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_NAME"):
        if not _is_unicode(os.environ.get(name, "")):
            raise TrackingError(f"{name} is {os.environ[name]!a}, which is no UTF-8: give it another value")
    file = sqlite_file()
    if file is not None:
        _require_writable(file)
    if file is None or file.exists():
        require_tables()
        with impatient(START_PATIENCE):
            try:
                client().search_experiments(max_results=1)
            except MlflowException as error:
                raise _explained(error) from error
            _require_logged_models()


@reported
def require_tables() -> None:
    """Makes sure that a database has the tables of the installed MLflow, or none.

    Asked before MLflow, which would change the tables of an older one unasked, and wait minutes for one that is away.

    Raises:
        TrackingError: it has others, or cannot be asked.
    """
    if not re.match(r"(sqlite|postgresql|mysql)\b", uri()):
        return
    waiting = {"timeout" if uri().startswith("sqlite") else "connect_timeout": int(START_PATIENCE)}
    with create_engine(make_url(uri()), poolclass=NullPool, connect_args=waiting).connect() as database:
        if not inspect(database).has_table("alembic_version"):
            return
        revision = database.execute(text(schema.REVISION)).scalar()
    if wrong := schema.other_tables(str(revision)):
        raise TrackingError(f"the MLflow store {redact(uri())} cannot be used: {wrong}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _require_writable(file: Path) -> None:
    """Writes into a sqlite file and takes it back: it may be held by others, and it or its folder may be read-only."""
    require_unlocked(START_PATIENCE)
    try:
        if file.exists():
            with closing(sqlite3.connect(file, timeout=START_PATIENCE, isolation_level=None)) as store:
                store.execute("BEGIN IMMEDIATE")
                store.execute("CREATE TABLE kdflow_can_write (it)")
                store.execute("ROLLBACK")
        elif not file.parent.is_dir():
            raise NotADirectoryError("there is no such folder")
        else:
            files.try_writing(file.parent)
    except sqlite3.Error as error:
        raise SQLAlchemyError(f"{error}: make {file} and its folder writable, {_ELSEWHERE}") from error
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{file.parent} cannot be written to ({reason}): make it writable, {_ELSEWHERE}") from error


def _explained(error: MlflowException) -> Exception:
    """What a user can do about a server that answers, but not with what was asked for."""
    if not uri().startswith("http") or not is_refusal(error):
        return error
    if found := remedy(error):
        return TrackingError(f"the MLflow store {redact(uri())} lets nobody in who is not known to it: {found}")
    if version := server_version():
        return _too_old(version)
    if not isinstance(error, RestException) or "error_code" not in error.json:
        return TrackingError(
            f"what answers at {redact(uri())} is no MLflow server: set MLFLOW_TRACKING_URI to the address of one"
        )
    return error


def _require_logged_models() -> None:
    """Models are registered as MLflow 3 does it; an older server would take everything but them."""
    try:
        client().search_logged_models(["0"], max_results=1)
    except MlflowException as error:
        if error.error_code == "ENDPOINT_NOT_FOUND":
            raise _too_old(server_version() or "2 or older") from error


def _too_old(version: str) -> TrackingError:
    return TrackingError(
        f"the MLflow server at {redact(uri())} is version {version}, which knows no logged models; this is MLflow "
        f"{mlflow.__version__}: give the server version 3"
    )


def server_version() -> str:
    """The version of MLflow that a server says it has; empty if it says none, and for a database."""
    if not uri().startswith("http"):
        return ""
    with suppress(MlflowException):
        answer = http_request(get_default_host_creds(uri()), "/version", "GET").text.strip()
        return answer if re.fullmatch(r"\d+\.\d+[\w.+-]*", answer) else ""
    return ""
