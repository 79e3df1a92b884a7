"""What is asked of the store before any work, so that nothing is trained in vain."""

import os
import re
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import mlflow
from mlflow.exceptions import MlflowException, RestException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.rest_utils import http_request
from mlflow.utils.uri import is_local_uri
from sqlalchemy.exc import SQLAlchemyError

from kdflow.common import files
from kdflow.common.errors import TrackingError
from kdflow.common.text import redact
from kdflow.journal.journal import Journal
from kdflow.tracking import relocation
from kdflow.tracking.client import (
    START_PATIENCE,
    TROUBLE,
    client,
    failure,
    impatient,
    reported,
    reporting,
    require_unlocked,
    sqlite_file,
    uri,
)
from kdflow.tracking.experiments import artifact_root, chosen_experiment, experiment_id, find_experiment
from kdflow.tracking.refusals import Refused, is_refusal, remedy

OFFLINE = "train now with --offline, and tell it later with `kdflow sync`"
_ELSEWHERE = "or name another store in MLFLOW_TRACKING_URI"
PROBE = "kdflow-can-write-here.txt"
"""An artifact that is written and deleted again."""


def require_store(otherwise: str = OFFLINE) -> None:
    """Learns before any work whether the store can be used; a sqlite file that is not there yet is not made for this.

    Args:
        otherwise: What to do if it cannot.

    Raises:
        TrackingError: it cannot.
    """
    with _or(otherwise):
        _ask()


def require_ready(journal: Journal | None = None, otherwise: str = OFFLINE, *, named: str = "") -> None:
    """Learns before any work whether the store takes runs and artifacts in the experiment that they are for.

    Args:
        journal: Of a command that is gone on with.
        named: A run whose experiment it is, since the command's own run is this one or nested in it.
        otherwise: What to do if it does not.

    Raises:
        TrackingError: it does not.
    """
    with _or(otherwise):
        _ask()
        chosen = _experiment(journal, named)
        found, root = find_experiment(chosen), artifact_root()
        if found:
            _require_artifacts(found.name, found.artifact_location)
        elif root:
            _require_artifacts(chosen.get("name", "0"), str(root))


def make_ready(journal: Journal | None = None, otherwise: str = OFFLINE, *, named: str = "") -> None:
    """Makes the experiment where only then the store says where its artifacts go, and learns whether it takes them.

    Args:
        journal: Of a command that is gone on with.
        otherwise: What to do if it does not.
        named: See `require_ready`.

    Raises:
        TrackingError: it does not.
    """
    chosen = _experiment(journal, named)
    if artifact_root() or find_experiment(chosen):
        return
    with _or(otherwise):
        made = client().get_experiment(experiment_id(chosen))
        _require_artifacts(made.name, made.artifact_location)


def require_artifacts_in_place() -> None:
    """Makes sure that a sqlite store was not moved away from the artifacts of its experiments, or together with them.

    Raises:
        TrackingError: it was; MLflow would look for artifacts, and make new ones, where they are no more.
    """
    file = sqlite_file()
    for old, new in (relocation.moved(file, relocation.EXPERIMENTS) if file else {}).items():
        raise TrackingError(
            f"the store {redact(uri())} was moved or copied: its artifacts are in {new}, not in {old}; "
            f"{relocation.MEND}"
        )


@reported
def require_experiment(name: str) -> None:
    """Learns whether runs can go to an experiment of this name.

    Raises:
        Refused: it is deleted, or no name.
    """
    find_experiment({"name": name})


@contextmanager
def _or(otherwise: str) -> Iterator[None]:
    try:
        with reporting():
            yield
    except TrackingError as error:
        raise TrackingError(f"{error}; {otherwise}") from error


def _experiment(journal: Journal | None, named: str) -> dict[str, str]:
    """What is gone on with stays where it is; a run that is named decides; else the environment does."""
    known = journal.ids.get(journal.key, named) if journal else named
    file = sqlite_file()
    if known and (file is None or file.exists()):
        with suppress(MlflowException):  # what is wrong with that run is asked elsewhere
            return {"id": client().get_run(known).info.experiment_id}
    return (journal.experiment if journal else None) or chosen_experiment()


def _ask() -> None:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_RUN_NAME"):
        if not _is_unicode(os.environ.get(name, "")):
            raise TrackingError(f"{name} is {os.environ[name]!a}, which is no UTF-8: give it another value")
    file = sqlite_file()
    if file is not None:
        _require_writable(file)
    if file is None or file.exists():
        with impatient(START_PATIENCE):
            try:
                client().search_experiments(max_results=1)
            except MlflowException as error:
                raise _explained(error) from error
            _require_logged_models()


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
    if version := _server_version():
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
            raise _too_old(_server_version() or "2 or older") from error


def _too_old(version: str) -> TrackingError:
    return TrackingError(
        f"the MLflow server at {redact(uri())} is version {version}, which knows no logged models; this is MLflow "
        f"{mlflow.__version__}: give the server version 3"
    )


def _server_version() -> str:
    """As the server says; empty if it says none."""
    with suppress(MlflowException):
        answer = http_request(get_default_host_creds(uri()), "/version", "GET").text.strip()
        return answer if re.fullmatch(r"\d+\.\d+[\w.+-]*", answer) else ""
    return ""


def _require_artifacts(experiment: str, location: str) -> None:
    if location.startswith("dbfs:"):  # there, only runs have a place
        return
    try:
        _try_artifact(location)
    except TROUBLE as error:
        place = local_file_uri_to_path(location) if location.startswith("file:") else redact(location)
        raise Refused(
            f"artifacts of experiment {experiment!r} cannot be written to {place} ({failure(error)}): make that "
            "writable, or choose an experiment whose artifacts go elsewhere with MLFLOW_EXPERIMENT_NAME"
        ) from error


def _try_artifact(location: str) -> None:
    """Writes an artifact and deletes it again, within seconds."""
    if not is_local_uri(location):
        _try_upload(location)
    elif "://" not in location and unquote(location) != location:
        raise OSError(f"MLflow takes the % for a code and would write to {unquote(location)}; rename that folder")
    else:
        try:
            files.try_writing(Path(local_file_uri_to_path(location)))
        except OSError as error:
            raise OSError(error.strerror or str(error)) from error  # it names a file that nobody asked for


def _try_upload(location: str) -> None:
    outcome: list[Exception | None] = []

    def upload() -> None:
        try:
            repository = get_artifact_repository(location, tracking_uri=uri())
            with tempfile.TemporaryDirectory(prefix="kdflow-") as folder:
                path = Path(folder) / PROBE
                path.write_bytes(b"kdflow learns here whether artifacts can be written; this can be deleted\n")
                repository.log_artifact(str(path))
            with suppress(Exception):  # who may write may not delete everywhere; the next probe replaces it
                repository.delete_artifacts(PROBE)
            outcome.append(None)
        except Exception as error:
            outcome.append(error)

    with impatient(START_PATIENCE):
        thread = threading.Thread(target=upload, daemon=True)  # some clients of object stores wait for minutes
        thread.start()
        thread.join(START_PATIENCE)
    error = outcome[0] if outcome else TimeoutError(f"no answer within {START_PATIENCE:.0f} seconds")
    if error:
        raise error
