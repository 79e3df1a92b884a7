"""Interrupting a command at any moment at which it writes or tells something, within one process.

Two seams carry everything: `write` and `append` of `kdflow.common.files`, through which each byte of a journal, a
checkpoint and an artifact reaches the disk, and `deliver` of `kdflow.tracking.outbox`, through which each entry reaches
the store (and below it the client of MLflow). `interrupted(action, when, strike)` runs an action up to a moment;
`at_moment`, `after_epoch` and `telling` say which.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

SMALL = {"batch_size": 16, "alpha": 1, "epochs": 2}
TOLD = ["create_run", "update_run", "log_batch", "log_inputs", "log_artifact", "create_logged_model"]
TOLD += ["finalize_logged_model", "create_registered_model", "_create_model_version", "set_registered_model_alias"]
TOLD += ["set_terminated"]


class Dead(BaseException):
    """The process is gone, and nothing in it can do anything about it."""


class Fault:
    """Watches everything that a command writes or tells, and strikes once, before one of these moments.

    Args:
        patch: To watch with.
        when: Whether to strike now, from the number of the moment, its name and the arguments of the call.
        strike: What to do; None kills.
    """

    def __init__(self, patch: pytest.MonkeyPatch, when: Callable, strike: Callable | None = None) -> None:
        from mlflow import MlflowClient

        from kdflow.common import files
        from kdflow.journal.journal import Journal
        from kdflow.tracking import outbox

        self.moments, self.struck, self._when, self._strike = 0, "", when, strike
        seams = [(files, "write"), (files, "append"), (outbox, "deliver"), (Journal, "mark_delivered")]
        for owner, name in seams:
            patch.setattr(owner, name, self._watched(name, getattr(owner, name)))
        for name in TOLD:
            patch.setattr(MlflowClient, name, self._watched(name, getattr(MlflowClient, name)))

    def _watched(self, name: str, function: Callable) -> Callable:
        def watched(*arguments, **options):
            if self.struck and not self._strike:
                raise Dead
            self.moments += 1
            if not self.struck and self._when(self.moments, name, arguments):
                self.struck = name
                (self._strike or self._die)()
            return function(*arguments, **options)

        return watched

    def _die(self) -> None:
        raise Dead


def interrupted(action: Callable, when: Callable, strike: Callable | None = None) -> Fault:
    """Runs something to the moment at which it is struck."""
    from kdflow.common import signals

    with pytest.MonkeyPatch.context() as patch:
        fault = Fault(patch, when, strike)
        try:
            action()
        except (Dead, signals.Stopped, KeyboardInterrupt, RuntimeError):
            assert fault.struck
    signals._noted = None
    return fault


def at_moment(number: int) -> Callable:
    return lambda moment, name, arguments: moment == number


def after_epoch(number: int, role: str = "student") -> Callable:
    """Before the metrics of an epoch that is safe are written down."""
    safe = False

    def when(moment, name, arguments):
        nonlocal safe
        if name == "write" and arguments[0].match(f"{role}-*/epoch-{number:04}.json"):
            safe = True
            return False
        return name == "append" and safe

    return when


def telling(kind: str, run: str) -> Callable:
    """Before the store is told an entry of this kind for a run whose name begins so."""

    def when(moment: int, name: str, arguments: tuple) -> bool:
        if name != "deliver" or arguments[0]["kind"] != kind:
            return False
        entry, journal = arguments
        return journal.of(entry["run"], "create")[0]["name"].startswith(run)

    return when


def kept_run(runs_dir: Path) -> str:
    from kdflow.journal.journal import Journal

    (journal,) = Journal.every(runs_dir)
    return journal.id


def kept_run_key(runs_dir: Path) -> str:
    (folder,) = runs_dir.iterdir()
    return folder.name
