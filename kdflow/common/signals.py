"""Being stopped: a signal ends the command once the batch in hand is done, a second Ctrl-C at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HINT = b"kdflow: stopping after this batch; a second Ctrl-C stops at once\n"


class Stopped(BaseException):
    """A signal asked for the end. Not an `Exception`, so that nothing takes it for a failure that can be lived with.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


_noted: int | None = None  # the first signal that came
_due = False  # whether it still has to be acted upon
_patience = 0


def listen() -> None:
    """From now on Ctrl-C and SIGTERM raise `Stopped`; within `patient`, only once `check` is reached."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _on_signal)


@contextmanager
def patient() -> Iterator[None]:
    """Within this, a signal waits for the next `check`, or for the end of all that are patient."""
    global _patience
    _patience += 1
    try:
        yield
    finally:
        _patience -= 1
    if not _patience:
        check()


def check() -> None:
    """Raises `Stopped` if a signal came, once: what is done on the way out is not stopped again.

    Raises:
        Stopped: see there.
    """
    global _due
    if _due and _noted is not None:
        _due = False
        raise Stopped(_noted)


def asked() -> Stopped | None:
    """What a signal has asked for, if one came."""
    return None if _noted is None else Stopped(_noted)


def _on_signal(signum: int, frame: FrameType | None) -> None:
    global _noted, _due
    if _noted is not None:
        if signum == signal.SIGINT:
            os._exit(128 + signum)
        return  # `mlflow run` hands a Ctrl-C on as SIGTERM, to a process that had it from the terminal already
    _noted = signum
    if not _patience:
        raise Stopped(signum)
    _due = True
    stderr = sys.__stderr__.fileno() if sys.__stderr__ else 2
    os.write(stderr, b"\n" * os.isatty(stderr) + HINT)  # the terminal has put ^C on the line
