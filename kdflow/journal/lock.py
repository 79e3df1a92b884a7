"""A folder that belongs to one process at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.errors import KdflowError

JOBS = ".jobs"
"""Folder in that of the runs: one for each job that was ever begun."""
PATIENCE = 60.0
"""Seconds in which a process that was asked to end, or whose parent died, has left a job."""


@contextmanager
def held(folder: Path, run: str, *, patience: float = 0.0) -> Iterator[None]:
    """Keeps other processes from a folder; the system lifts the lock of a process that dies.

    Args:
        folder: Of a command.
        run: What it is called, for messages.
        patience: Seconds to wait for another process to leave it.

    Raises:
        KdflowError: another process has it, or the folder cannot be written to.
    """
    lock, owner = FileLock(folder / "lock"), folder / "owner"
    try:
        _acquire(lock, owner, run, patience)
    except Timeout:
        raise KdflowError(f"run {run} is in use by {_named(owner)}: wait for it, or end it first") from None
    except OSError as error:
        raise files.unwritable(folder, error, needed=1) from error
    try:
        with suppress(OSError):  # a full disk is told where it does harm
            owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, owner: Path, run: str, patience: float) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        if not patience:
            raise
        say(f"{run} is in use by {_named(owner)}: waiting for it for up to {patience:.0f} seconds")
        lock.acquire(timeout=patience)


def _named(owner: Path) -> str:
    with suppress(OSError):
        return owner.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"


@contextmanager
def alone(runs_dir: Path, job: str) -> Iterator[None]:
    """Keeps other attempts at the same job from beginning; one that is ending is waited for.

    Args:
        runs_dir: Which all attempts see.
        job: What it is known by, as a folder may be called.

    Raises:
        KdflowError: another process works on it, or the folder cannot be written to.
    """
    folder = runs_dir / JOBS / job
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise files.unwritable(runs_dir, error, needed=1) from error
    with held(folder, job, patience=PATIENCE):
        yield
