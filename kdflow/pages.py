"""What `make ui` says: `python -m kdflow.pages` prints where a browser finds the runs, without asking for too long."""

import os

from kdflow import process
from kdflow.console import say
from kdflow.errors import TrackingError


def tell() -> None:
    """Prints a link for each experiment that holds runs of kdflow; a store that does not answer stops nothing."""
    from kdflow import tracking

    address, store = tracking.ui_address(), tracking.sqlite_file()
    try:
        found = {} if store and not store.exists() else tracking.experiment_pages()
    except TrackingError:
        found = {}
    for name, page in found.items():
        say(f"Experiment {name}: {address}{page}")
    if not found:
        say(f"Experiments: {address}{tracking.EXPERIMENTS_PAGE}")


if __name__ == "__main__":
    process.prepare()
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    tell()
