"""Everything MLflow: the only room that imports it."""

from kdflow.tracking.champion import best_first, candidates
from kdflow.tracking.checks import (
    OFFLINE,
    make_ready,
    require_artifacts_in_place,
    require_experiment,
    require_ready,
    require_store,
)
from kdflow.tracking.container import require_whole_store
from kdflow.tracking.in_store import InStore
from kdflow.tracking.kept import Kept
from kdflow.tracking.models import WEIGHTS_FOLDER, registered_name
from kdflow.tracking.opened import OpenRun, close, open_runs
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.pages import EXPERIMENTS_PAGE, experiment_pages, ui_address
from kdflow.tracking.record import Record
from kdflow.tracking.run import Run, data_tags, reopen, settled_tags
from kdflow.tracking.store import absence, quieted, require_same_store, sqlite_file, uri
from kdflow.tracking.surroundings import Surroundings, require_surroundings

Runs = InStore | Kept
"""Where runs are read from."""

__all__ = [
    "EXPERIMENTS_PAGE",
    "OFFLINE",
    "WEIGHTS_FOLDER",
    "InStore",
    "Kept",
    "OpenRun",
    "Outbox",
    "Record",
    "Run",
    "Runs",
    "Surroundings",
    "absence",
    "best_first",
    "candidates",
    "close",
    "data_tags",
    "experiment_pages",
    "make_ready",
    "open_runs",
    "quieted",
    "registered_name",
    "reopen",
    "require_artifacts_in_place",
    "require_experiment",
    "require_ready",
    "require_same_store",
    "require_store",
    "require_surroundings",
    "require_whole_store",
    "settled_tags",
    "sqlite_file",
    "ui_address",
    "uri",
]
