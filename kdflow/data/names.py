"""Names that come from folders and files, spelled so that they can be told everywhere and stay the same everywhere."""

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

LISTED = 5
"""How many names a message lists."""


def spelled(name: str | bytes) -> str:
    r"""A name as valid Unicode, of which there is one spelling: composed letters (NFC).

    A byte that is no UTF-8 is spelled as `\xe9`, half a surrogate pair as `\ud800`, a zero byte as `\x00`.
    """
    if isinstance(name, bytes):
        text = name.decode("utf-8", "backslashreplace")
    else:
        text = name.encode("utf-8", "backslashreplace").decode()
    return unicodedata.normalize("NFC", text).replace("\0", r"\x00")


def spelled_name(path: Path) -> str:
    """The name of a file or folder, the same in every locale."""
    return spelled(os.fsencode(path.name))


def in_order(path: Path) -> tuple[str, bytes]:
    """What files are sorted by: the same on every machine, whichever way it spells their names."""
    return spelled_name(path), os.fsencode(path.name)


def listed(names: Sequence[str]) -> str:
    """The first of some names, and how many there are if those are not all."""
    shown = ", ".join(names[:LISTED])
    return shown if len(names) <= LISTED else f"{shown}, ... ({len(names)} in all)"
