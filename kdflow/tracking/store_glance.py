"""A glance at the MLflow store without MLflow, which takes seconds to import: whether anything is to be said of it."""

import json
import os
import sqlite3
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kdflow.tracking import schema

PATIENCE = 2.0
"""Seconds: where a glance takes longer, MLflow may as well be asked."""
PAGE = 1000
OPEN = "SELECT 1 FROM runs WHERE status = 'RUNNING' AND lifecycle_stage = 'active' LIMIT 1"


def store_address() -> str:
    """What MLflow takes for the store's address; empty if that is for MLflow to say."""
    if "mlflow" in sys.modules:  # it may have been told another one
        return ""
    if given := os.environ.get("MLFLOW_TRACKING_URI"):
        return given
    return "" if Path("mlruns").is_dir() and not Path("mlflow.db").is_file() else f"sqlite:///{Path.cwd()}/mlflow.db"


def sqlite_path(address: str) -> Path | None:
    """The file of a sqlite store; None if the store is something else, or if it is for MLflow to say."""
    plain = address.startswith("sqlite:///") and not {"?", "%"} & set(address)
    return Path(address.removeprefix("sqlite:///")) if plain else None


def is_idle(address: str) -> bool:
    """Whether certainly no run is open in the store of that address, and it is of the installed version of MLflow.

    False also if only MLflow can tell.
    """
    try:
        if path := sqlite_path(address):
            return not path.exists() or _is_idle_file(path)
        if address.startswith("http://") and _is_open_to_all():
            return _version(address.rstrip("/")) == schema.installed() and not _any_on_server(address.rstrip("/"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, sqlite3.Error):
        pass  # whatever is wrong, MLflow says it better
    return False


def _is_idle_file(path: Path) -> bool:
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=PATIENCE)) as store:
        of_this_version = store.execute(schema.REVISION).fetchone() == (schema.newest(),)
        return of_this_version and store.execute(OPEN).fetchone() is None


def _is_open_to_all() -> bool:
    """Whether a server is asked without credentials, as far as the environment says."""
    settings = {name for name in os.environ if name.startswith("MLFLOW_TRACKING_")} - {"MLFLOW_TRACKING_URI"}
    return not settings and not Path("~/.mlflow/credentials").expanduser().exists()


def _version(address: str) -> str:
    with urllib.request.urlopen(f"{address}/version", timeout=PATIENCE) as answer:
        return str(answer.read(100), "utf-8")


def _any_on_server(address: str) -> bool:
    """Asks as MLflow's REST API is documented."""
    experiments = [one["experiment_id"] for one in _every(address, "experiments", {})]
    running = {"experiment_ids": experiments, "filter": "attributes.status = 'RUNNING'", "run_view_type": "ACTIVE_ONLY"}
    return any(True for _ in _every(address, "runs", running))


def _every(address: str, what: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    token = ""
    while True:
        body = json.dumps({**asked, "max_results": PAGE, "page_token": token}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{address}/api/2.0/mlflow/{what}/search", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            page = json.load(answer)
        yield from page.get(what, [])
        token = page.get("next_page_token", "")
        if not token:
            return
