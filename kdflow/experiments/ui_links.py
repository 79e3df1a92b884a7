"""What `make ui` says: `python -m kdflow.experiments.ui_links` prints where a browser finds the runs."""

import os

from kdflow.common import process
from kdflow.common.console import say
from kdflow.common.errors import TrackingError


def tell() -> None:
    """Prints links to each experiment that holds runs of kdflow, and to its newest study.

    A store that does not answer stops nothing.
    """
    from kdflow.tracking.address import sqlite_file
    from kdflow.tracking.links import EXPERIMENTS_PAGE, pages, ui_address

    address, store = ui_address(), sqlite_file()
    try:
        found = {} if store and not store.exists() else pages()
    except TrackingError:
        found = {}
    for name, page in found.items():
        say(f"{name}: {address}{page}")
    if not found:
        say(f"Experiments: {address}{EXPERIMENTS_PAGE}")


if __name__ == "__main__":
    process.prepare()
    os.environ.setdefault("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    tell()
