"""matplotlib as it comes: figures are the same whatever backend, style or settings an environment or notebook asks for.

A figure that is saved needs no backend. But matplotlib reads MPLBACKEND and settings files when it is imported, and
fails if they name what is not there.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from types import ModuleType
from typing import TYPE_CHECKING
from unittest.mock import patch

from kdflow.common.errors import KdflowError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def as_it_comes() -> Iterator[None]:
    """Within this, matplotlib has its own defaults and says nothing; what a notebook has set is there again afterwards.

    Raises:
        KdflowError: matplotlib cannot be used at all.
    """
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        matplotlib = _imported()
        # A backend, once set, is none of what a context sets back; nothing that is saved to a file asks for it.
        defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
        with matplotlib.rc_context(defaults):
            yield
    finally:
        logger.setLevel(level)


@as_it_comes()
def png(figure: "Figure") -> bytes:
    """A figure as PNG."""
    return _saved(figure, "png")


@as_it_comes()
def svg(figure: "Figure") -> bytes:
    """A figure as SVG whose text is text; the same bytes for the same figure."""
    import matplotlib

    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kdflow"})
    return _saved(figure, "svg", Date=None, Creator=None)


@as_it_comes()
def pdf(figure: "Figure") -> bytes:
    """A figure as PDF with the letters it needs, as outlines that print well; the same bytes for the same figure."""
    import matplotlib

    matplotlib.rcParams["pdf.fonttype"] = 42  # type 3 fonts are refused by some publishers
    return _saved(figure, "pdf", CreationDate=None, Creator=None)


def _saved(figure: "Figure", kind: str, **metadata: None) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format=kind, metadata=metadata or None)
    return stream.getvalue()


def require() -> None:
    """Makes sure, before any work, that figures can be drawn after it.

    Raises:
        KdflowError: they cannot.
    """
    with as_it_comes():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1, 1))
        figure.text(0, 0, "a")
    png(figure)


def _imported() -> ModuleType:
    if "matplotlib" in sys.modules:
        return sys.modules["matplotlib"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _import()
        except (ValueError, OSError):  # of a backend or a settings file
            for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
                del sys.modules[name]  # halves of an import that failed
        try:
            with _without_settings():
                return _import()
        except (ValueError, OSError, ImportError) as error:
            raise KdflowError(f"matplotlib cannot be used: {error}".partition("\n")[0]) from error


def _import() -> ModuleType:
    import_module("matplotlib.figure")  # and the fonts, which need a folder for what they keep
    return sys.modules["matplotlib"]


@contextmanager
def _without_settings() -> Iterator[None]:
    """Within this, matplotlib finds no backend that is asked for, and no settings file, not even one lying here."""
    exists = os.path.exists
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    with (
        patch.dict(os.environ, environment | {"MATPLOTLIBRC": os.devnull}, clear=True),
        patch("os.path.exists", lambda path: path != "matplotlibrc" and exists(path)),
    ):
        yield
