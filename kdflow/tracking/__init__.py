"""Everything MLflow: the only room that imports it."""

from kdflow.tracking.models import (
    WEIGHTS_FOLDER,
    newest_teacher,
    register,
    registered_name,
    resolve_run,
    weights_of,
)
from kdflow.tracking.query import Record, comparison_page, histories, runs
from kdflow.tracking.run import Run, data_tags
from kdflow.tracking.store import quiet, redact, uri

__all__ = [
    "WEIGHTS_FOLDER",
    "Record",
    "Run",
    "comparison_page",
    "data_tags",
    "histories",
    "newest_teacher",
    "quiet",
    "redact",
    "register",
    "registered_name",
    "resolve_run",
    "runs",
    "uri",
    "weights_of",
]
