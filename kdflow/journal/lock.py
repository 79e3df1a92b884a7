"""A folder that belongs to one process at a time."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from kdflow.common import files
from kdflow.common.errors import KdflowError


@contextmanager
def held(folder: Path, run: str) -> Iterator[None]:
    """Keeps other processes from a folder; the system lifts the lock of a process that dies.

    Args:
        folder: Of a command.
        run: What it is called, for messages.

    Raises:
        KdflowError: another process has it, or the folder cannot be written to.
    """
    lock, owner = FileLock(folder / "lock"), folder / "owner"
    try:
        lock.acquire(blocking=False)
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


def _named(owner: Path) -> str:
    with suppress(OSError):
        return owner.read_text(encoding="utf-8", errors="replace") or "another process"
    return "another process"
