"""Everything MLflow: the only room that imports it."""

from kdflow.tracking.in_store import InStore
from kdflow.tracking.kept import Kept
from kdflow.tracking.models import WEIGHTS_FOLDER, registered_name
from kdflow.tracking.opened import OpenRun, close, open_runs
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.pages import EXPERIMENTS_PAGE, experiment_pages, ui_address
from kdflow.tracking.record import Record
from kdflow.tracking.run import Run, data_tags, reopen
from kdflow.tracking.store import quiet, quieted, require_same_store, require_store, sqlite_file, uri

Runs = InStore | Kept
"""Where runs are read from."""

__all__ = [
    "EXPERIMENTS_PAGE",
    "WEIGHTS_FOLDER",
    "InStore",
    "Kept",
    "OpenRun",
    "Outbox",
    "Record",
    "Run",
    "Runs",
    "close",
    "data_tags",
    "experiment_pages",
    "open_runs",
    "quiet",
    "quieted",
    "registered_name",
    "reopen",
    "require_same_store",
    "require_store",
    "sqlite_file",
    "ui_address",
    "uri",
]
