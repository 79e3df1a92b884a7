"""How a command ends: an exit code, and on stderr one line for each thing that went wrong."""

import signal
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

from kdflow.common.console import leave_stdout
from kdflow.common.errors import KdflowError, Problems, UnforeseenError
from kdflow.common.signals import Stopped, asked
from kdflow.common.text import plain, redact

LONGEST = 1000
"""Letters of what was not foreseen: some libraries put whole tables into their errors."""
DEBUG = "--debug"


def end(code: int) -> NoReturn:
    """Ends the process, once all that was said is said."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        leave_stdout()
    except (OSError, ValueError) as error:
        leave_stdout()
        code = code or fail([f"what was said could not be written: {error}"], code=1)
    sys.exit(code)


def tell(error: BaseException) -> int:
    """Says what went wrong, on one line for each thing; with `--debug` also where.

    Returns:
        The exit code.
    """
    if isinstance(error, KeyboardInterrupt):
        return fail(["interrupted"], code=128 + signal.SIGINT)
    if isinstance(error, UnforeseenError) or not isinstance(error, KdflowError | Stopped):
        error = asked() or error  # what a signal breaks off, such as an import, may make another error of it
    if not isinstance(error, KdflowError | Stopped):
        unforeseen = UnforeseenError(error)
        unforeseen.__cause__ = error
        error = unforeseen
    if DEBUG in sys.argv and isinstance(error, KdflowError):
        _write(redact("".join(traceback.format_exception(error))))
    return fail([_line(one) for one in _each(error)], code=error.exit_code)


def fail(messages: list[str], *, code: int) -> int:
    """Says what went wrong and gives the exit code."""
    for message in messages:
        _write(f"kdflow: error: {plain(message)}\n")
    return code


def show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Says what Python or a library warns of, on one line, without the code that it comes from."""
    _write(f"kdflow: warning: {plain(redact(str(message)))[:LONGEST]}\n")


def _each(error: KdflowError | Stopped) -> tuple[KdflowError | Stopped, ...]:
    return error.errors if isinstance(error, Problems) else (error,)


def _line(error: KdflowError | Stopped) -> str:
    said = str(error)
    if isinstance(error, UnforeseenError):
        said = redact(plain(said))
        said = said if len(said) <= LONGEST else said[: LONGEST - 3] + "..."
        said += "" if DEBUG in sys.argv else f" (not foreseen: the same command with {DEBUG} shows where it comes from)"
    return "; ".join([said, *getattr(error, "__notes__", [])])


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody may be there to read it; the exit code says it too
        if sys.stderr:
            sys.stderr.write(text)
            sys.stderr.flush()
