"""Whether artifacts can be written where an experiment has them."""

import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote

from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import is_local_uri

from kdflow.common import files
from kdflow.common.text import redact
from kdflow.tracking.address import uri
from kdflow.tracking.patience import START_PATIENCE, impatient
from kdflow.tracking.refusals import Refused
from kdflow.tracking.trouble import TROUBLE, failure

PROBE = "kdflow-can-write-here.txt"
"""An artifact that is written and deleted again."""


def require_artifacts(experiment: str, location: str) -> None:
    """Writes a small artifact where those of an experiment go, and deletes it again.

    Raises:
        Refused: it cannot be written.
    """
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
