"""Being stopped: a signal ends the command once the batch in hand is done, a second one at once."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

HINT = b"\nkdflow: stopping after this batch; once more stops at once\n"


class Stopped(BaseException):
    """A signal asked for the end. Not an `Exception`, so that nothing takes it for a failure that can be lived with.

    Args:
        signum: The signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.exit_code = 128 + signum


_noted: int | None = None
_patient = False


def listen() -> None:
    """From now on Ctrl-C and SIGTERM raise `Stopped`; within `patient`, only once `check` is reached."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, _on_signal)


@contextmanager
def patient() -> Iterator[None]:
    """Within this, a signal waits for the next `check`, or for the end."""
    global _patient
    _patient = True
    try:
        yield
    finally:
        _patient = False
    check()


def check() -> None:
    """Raises `Stopped` if a signal came.

    Raises:
        Stopped: see there.
    """
    if _noted is not None:
        raise Stopped(_noted)


def _on_signal(signum: int, frame: FrameType | None) -> None:
    global _noted
    if _noted is not None:
        os._exit(128 + signum)
    _noted = signum
    if not _patient:
        raise Stopped(signum)
    os.write(sys.__stderr__.fileno() if sys.__stderr__ else 2, HINT)
