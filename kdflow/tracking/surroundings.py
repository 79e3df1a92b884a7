"""What a command's own run finds: a run that the environment names, one that it is to be nested in, a name for it."""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import mlflow
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException
from mlflow.utils import name_utils

from kdflow.common.console import say
from kdflow.common.errors import TrackingError, UsageError
from kdflow.common.text import plain, redact
from kdflow.config import CohortConfig, CompareConfig, StudentConfig, StudyConfig, TeacherConfig, options
from kdflow.tracking.address import sqlite_file, uri
from kdflow.tracking.client import client
from kdflow.tracking.experiments import named_experiment
from kdflow.tracking.trouble import reported, says_not_there

STUDY = "KDFLOW_STUDY"
"""Variable that a job has: the run of its study, by id, or by key until the store has given it one."""
SIGNATURE_TAG = "kdflow.signature"
STUDY_TAG = "kdflow.study_id"
KEY_TAG = "kdflow.key"
"""Tag of every run; of one that `mlflow run` made, a param too: params are written once, so that one command has it."""
OPTIONS = {
    name: spec
    for config in (StudyConfig(), CohortConfig(), TeacherConfig(), StudentConfig(), CompareConfig())
    for name, spec in options(config).items()
}


@dataclass(frozen=True)
class Surroundings:
    """What is there when a command begins its own run (the runs of a study are nested in that).

    Attributes:
        named: The run of MLFLOW_RUN_ID: the command's own if it is free, else the one to be nested in; "" for none.
        parent: The run to be nested in whatever it holds; "" for none.
        name: What the user calls the run; "" leaves that to kdflow.
        experiment: That the environment chooses, in which a run that it names must be; empty if it chooses none.
        study: The run of the study whose job the command is; "" for none.
        options: Of the command, by flat name, as texts: what `mlflow run` has logged of them must be the same.
    """

    named: str = ""
    parent: str = ""
    name: str = ""
    experiment: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    study: str = ""

    @property
    def run(self) -> str:
        """The run that is the command's own or its parent's, whichever is named; "" for none."""
        return self.named or self.parent

    @classmethod
    def found(cls, given: Mapping[str, str], *, nested: bool = False) -> Self:
        """What the environment says, or the program that calls; the store is not asked.

        Args:
            given: Options of the command, by flat name, as texts.
            nested: Nest the run in the active run of MLflow, if there is one, as `mlflow.start_run(nested=True)` does.
        """
        name = os.environ.get("MLFLOW_RUN_NAME", "")
        if nested and (active := mlflow.active_run()):
            return cls(parent=active.info.run_id, name=name)
        named, parent = (os.environ.get(variable, "") for variable in ("MLFLOW_RUN_ID", "MLFLOW_PARENT_RUN_ID"))
        given = dict(given) if named else {}
        return cls(named, parent, name, named_experiment(), given, os.environ.get(STUDY, ""))


@reported
def require_surroundings(around: Surroundings) -> None:
    """Makes sure, before any work, that the runs that are named can be used.

    Raises:
        TrackingError: one of them is unknown, deleted, or of another experiment than the one that is chosen.
    """
    if around.named and (reason := _obstacle(around.named, around.experiment)):
        raise TrackingError(f"MLFLOW_RUN_ID={plain(around.named)}: {reason}, or unset MLFLOW_RUN_ID")
    if around.parent and (reason := _obstacle(around.parent, around.experiment)):
        raise TrackingError(f"nested in run {plain(around.parent)}: {reason}, or unset MLFLOW_PARENT_RUN_ID")


def claimed(around: Surroundings, key: str) -> MlflowRun | None:
    """The run that the environment names, if the command may take it for its own; from then on no other can.

    It may if the run holds nothing but what `mlflow run` logs before the command begins.

    Args:
        around: What the command found.
        key: Of its own run.
    """
    if not around.named or _obstacle(around.named, around.experiment):
        return None
    run = client().get_run(around.named)
    if _holds(run, around, key):
        return None
    try:
        client().log_param(around.named, KEY_TAG, key)
    except MlflowException as error:
        if error.error_code != "INVALID_PARAMETER_VALUE":
            raise
        return None
    return run


def parent_of(around: Surroundings, key: str) -> MlflowRun | None:
    """The run in which a command's own run is nested, if any; the user is told of one that was named and is not free.

    Args:
        around: What the command found.
        key: Of its own run.
    """
    if around.named:
        obstacle = _obstacle(around.named, around.experiment)
        run = None if obstacle else client().get_run(around.named)
        reason = obstacle or (run and _holds(run, around, key))
        where = ", nested in that one" if run else ""
        say(f"Run {plain(around.named)} of MLFLOW_RUN_ID: {reason}. This command gets a run of its own{where}.")
        return run
    return client().get_run(around.parent) if around.parent and not _obstacle(around.parent, {}) else None


def is_named_by_user(run: MlflowRun) -> bool:
    """Whether somebody chose a run's name; MLflow makes names such as "clumsy-fish-123" of its own list of words."""
    made = re.fullmatch(r"([a-z]+)-([a-z]+)-\d{1,4}", run.info.run_name or "")
    return bool(run.info.run_name) and not (
        made and made[1] in name_utils._GENERATOR_PREDICATES and made[2] in name_utils._GENERATOR_NOUNS
    )


def is_made_for_nothing(run: MlflowRun) -> bool:
    """Whether `mlflow run` has just made a run for a command that goes on with another one, or takes it as it is."""
    return _is_made_by_mlflow(run) and bool({"resume", "reuse"} & run.data.params.keys()) and not _is_used(run)


def _obstacle(run_id: str, experiment: Mapping[str, str]) -> str | None:
    """Why a run can be neither taken nor nested in, with what to do; None if it can."""
    try:
        file = sqlite_file()
        run = client().get_run(run_id) if file is None or file.exists() else None
    except MlflowException as error:
        if not says_not_there(error):
            raise
        run = None
    if run is None:
        return f"there is no such run in {redact(uri())}: set MLFLOW_TRACKING_URI to the store that has it"
    if run.info.lifecycle_stage != "active":
        return f"the run is deleted: restore it with `mlflow runs restore --run-id {run_id}`"
    if not experiment:
        return None
    theirs = client().get_experiment(run.info.experiment_id)
    if experiment in ({"id": theirs.experiment_id}, {"name": theirs.name}):
        return None
    ((kind, chosen),) = experiment.items()
    other = f"MLFLOW_EXPERIMENT_{kind.upper()}={plain(chosen)}"
    return f"the run is in experiment {plain(theirs.name)!r}, not in that of {other}: unset one of the two"


def _holds(run: MlflowRun, around: Surroundings, key: str) -> str | None:
    """What a run holds that keeps a command from taking it for its own; None if it is free, or this command's."""
    if key in (run.data.tags.get(KEY_TAG), run.data.params.get(KEY_TAG)):
        return None
    if used := _is_used(run):
        return used
    given = around.options if _is_made_by_mlflow(run) else {}
    others = [name for name, text in run.data.params.items() if not _is_said(name, text, given)]
    return f"it has params that are not this command's ({', '.join(sorted(others)[:3])})" if others else None


def _is_used(run: MlflowRun) -> str | None:
    if role := run.data.tags.get("kdflow.role") or run.data.params.get(KEY_TAG, "").partition("-")[0]:
        return f"it is the run of another command (a {role})"
    if run.info.status not in ("RUNNING", "SCHEDULED"):
        return f"it has ended ({run.info.status})"
    return "it has metrics already" if run.data.metrics else None


def _is_made_by_mlflow(run: MlflowRun) -> bool:
    return "mlflow.project.entryPoint" in run.data.tags


def _is_said(name: str, logged: str, given: Mapping[str, str]) -> bool:
    """Whether a param is an option of the command with the value that it has; `mlflow run` logs what the user typed."""
    if name not in given or name not in OPTIONS:
        return False
    try:
        unquoted = " ".join(shlex.split(logged))
        return OPTIONS[name].read(name, unquoted) == OPTIONS[name].read(name, given[name])
    except (UsageError, ValueError):
        return False
