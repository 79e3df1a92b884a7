"""Everything MLflow: the only room that imports it."""

from kdflow.tracking.models import (
    WEIGHTS_FOLDER,
    newest_teacher,
    register,
    registered_name,
    resolve_run,
    weights_of,
)
from kdflow.tracking.query import Record, histories, training_runs
from kdflow.tracking.run import Run
from kdflow.tracking.store import redact, uri

__all__ = [
    "WEIGHTS_FOLDER",
    "Record",
    "Run",
    "histories",
    "newest_teacher",
    "redact",
    "register",
    "registered_name",
    "resolve_run",
    "training_runs",
    "uri",
    "weights_of",
]
