"""What differs in a notebook: a bar is drawn by its page, and needs no widgets for that."""

import html
import sys
import time
from importlib import import_module
from typing import Any

SECONDS = 0.2
"""Between two drawings: each is a message to the page."""


def in_notebook() -> bool:
    """Whether a kernel shows what this process displays; it does not for what is started from a cell with `!`."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A bar in the output of a cell, which is gone once it is done."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._drawn = 0.0

    def show(self, text: str, *, done: int, of: int) -> None:
        """Draws the bar, if it was not drawn a moment ago."""
        now = time.monotonic()
        if done == of or now >= self._drawn + SECONDS:
            self._drawn = now
            bar = f'<progress value="{done}" max="{of}" style="vertical-align: middle"></progress>'
            self._display(f"{text} ({done}/{of})", f"<div>{bar} {html.escape(text)}</div>")

    def close(self) -> None:
        """Leaves nothing of it."""
        if self._handle is not None:
            self._display("", "")

    def _display(self, text: str, page: str) -> None:
        shown = {"text/plain": text, "text/html": page}
        if self._handle is None:
            self._handle = import_module("IPython.display").display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
