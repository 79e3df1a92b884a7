"""Everything MLflow: the only room that imports it."""

from kdflow.tracking.in_store import InStore
from kdflow.tracking.kept import Kept
from kdflow.tracking.models import WEIGHTS_FOLDER, registered_name
from kdflow.tracking.opened import OpenRun, close, open_runs
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.record import Record
from kdflow.tracking.relocation import MEND, moved, relocate, require_artifacts_in_place
from kdflow.tracking.run import Run, data_tags, reopen
from kdflow.tracking.store import quiet, require_same_store, require_store, uri
from kdflow.tracking.surroundings import Surroundings, require_surroundings

Runs = InStore | Kept
"""Where runs are read from."""

__all__ = [
    "MEND",
    "WEIGHTS_FOLDER",
    "InStore",
    "Kept",
    "OpenRun",
    "Outbox",
    "Record",
    "Run",
    "Runs",
    "Surroundings",
    "close",
    "data_tags",
    "moved",
    "open_runs",
    "quiet",
    "registered_name",
    "relocate",
    "reopen",
    "require_artifacts_in_place",
    "require_same_store",
    "require_store",
    "require_surroundings",
    "uri",
]
