"""Where everything is said: one console, on which text from outside is inert."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper

from rich.console import Console

from kdflow.common.text import plain


class _Console(Console):
    """Goes on without a word once nobody reads any more, as in `kdflow list | head -1`: work is not lost for that."""

    def on_broken_pipe(self) -> None:
        """Instead of ending the program."""
        self.quiet = True
        leave_stdout()


# In a notebook it writes text as anywhere else: rich would make a block of HTML of each line.
console = _Console(soft_wrap=True, highlight=False, force_jupyter=False)
_hushed = False


def hush(*, on: bool) -> None:
    """From now on only what is vital is said: warnings, results and where they are; or everything again."""
    global _hushed
    _hushed = on


def is_hushed() -> bool:
    """Whether only what is vital is said."""
    return _hushed


def say(text: str, *, vital: bool = False) -> None:
    """Prints one line; markup and control characters in it do nothing.

    Args:
        text: The line.
        vital: Whether `--quiet` keeps it.
    """
    if vital or not _hushed:
        console.print(plain(text), markup=False)


def warn(text: str) -> None:
    """Prints a warning, a vital line."""
    say(f"Warning: {text}", vital=True)


def escape_what_cannot_be_encoded() -> None:
    """Letters that the terminal's encoding does not have are shown as escapes: a square in ASCII as x and b2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def leave_stdout() -> None:
    """What is still to be printed goes nowhere, so that nothing complains at the end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
