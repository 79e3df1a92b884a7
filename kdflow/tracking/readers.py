"""Where runs are read from: the store, or journals."""

from kdflow.tracking.journal_runs import Kept
from kdflow.tracking.store_runs import InStore

Runs = InStore | Kept
