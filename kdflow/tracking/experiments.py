"""The experiment of a command: which it is, whether it takes runs, and where its artifacts go."""

import os
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException

from kdflow.common.text import redact
from kdflow.tracking.address import sqlite_file, uri
from kdflow.tracking.client import client
from kdflow.tracking.presence import deletion
from kdflow.tracking.refusals import Refused
from kdflow.tracking.trouble import says_not_there

EXPERIMENT = "kdflow"
_ANOTHER = "or choose another: MLFLOW_EXPERIMENT_NAME, and for what is kept `kdflow sync --experiment NAME`"


def chosen_experiment() -> dict[str, str]:
    """The experiment that the environment chooses by id or name, or else "kdflow"."""
    return named_experiment() or {"name": EXPERIMENT}


def named_experiment() -> dict[str, str]:
    """The experiment that the environment chooses by id or name; empty if it chooses none."""
    chosen = {kind: os.environ.get(f"MLFLOW_EXPERIMENT_{kind.upper()}", "") for kind in ("id", "name")}
    return next(({kind: value} for kind, value in chosen.items() if value), {})


def find_experiment(chosen: Mapping[str, str]) -> Experiment | None:
    """A chosen experiment; None if it is chosen by a name that none has yet.

    Raises:
        Refused: none has that id, it is deleted, or the name is blank.
    """
    if not "".join(chosen.values()).strip():
        raise Refused("the name of the experiment is blank: give another in MLFLOW_EXPERIMENT_NAME, or none")
    file = sqlite_file()
    if file and not file.exists() and chosen.get("id", "0") == "0":  # MLflow makes the experiment 0 with the tables
        return None
    found = _experiment(chosen) if file is None or file.exists() else None
    if found is None and "id" in chosen:
        raise Refused(
            f"MLFLOW_EXPERIMENT_ID {chosen['id']!r}: there is no such experiment in {redact(uri())}; give it "
            "another id, or unset it (for what is kept: `kdflow sync --experiment NAME`)"
        )
    if found and (gone := deletion(found)):
        raise Refused(f"{gone}; {_ANOTHER}")
    return found


def _experiment(chosen: Mapping[str, str]) -> Experiment | None:
    try:
        if "id" in chosen:
            return client().get_experiment(chosen["id"])
        return client().get_experiment_by_name(chosen["name"])
    except MlflowException as error:
        if not says_not_there(error):
            raise
        return None


def experiment_id(chosen: Mapping[str, str] | None = None) -> str:
    """The id of a chosen experiment, by default of that of the environment; it is created at need.

    Raises:
        Refused: see `find_experiment`.
    """
    chosen = chosen or chosen_experiment()
    client()  # makes the tables of a new sqlite store, and with them an experiment
    found = find_experiment(chosen)
    if found is None:
        try:
            return client().create_experiment(chosen["name"])
        except MlflowException:  # another process may have been quicker
            found = find_experiment(chosen)
            if found is None:
                raise
    return found.experiment_id


def artifact_root() -> Path | None:
    """Where MLflow puts the artifacts of new experiments, if it is this process that decides it."""
    return None if uri().startswith(("http", "file", "databricks")) else Path("mlruns").absolute()
