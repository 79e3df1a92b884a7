"""The folders under `--runs-dir` and their files, as they are read."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdflow.common.errors import KdflowError
from kdflow.journal.entries import Entry

KEY = re.compile(r"[a-z]+-(\d{8}-\d{6})-[0-9a-f]{8}(/|$)")
"""Names of folders, and of the runs in them, such as "study-20261122-214500-3fa2b1c0/teacher"."""


def folders(runs_dir: Path) -> Iterator[Path]:
    """Those of all commands, oldest first; what has another name is something else."""
    names = (path.parent.name for path in runs_dir.glob("*/run.json"))
    for _, name in sorted((found[1], name) for name in names if (found := KEY.fullmatch(name))):
        yield runs_dir / name


def read_lines(path: Path) -> Iterator[Entry]:
    """All whole entries of a journal; the last may have been cut off by a kill.

    Raises:
        KdflowError: one is damaged, or the file cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        lines = []
    except OSError as error:
        raise KdflowError(f"{path} cannot be read: {error.strerror or error}") from error
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            if not {"kind", "run", "time"} <= entry.keys():
                raise ValueError("this is no entry")
        except (ValueError, AttributeError, RecursionError) as error:
            raise KdflowError(f"{path} is damaged in line {number}: {error}; begin a new run") from None
        yield entry


def read_delivered(folder: Path) -> dict[str, Any]:
    """What the store has; nothing where that is not known: told again, entries have no effect."""
    try:
        return read_json(folder / "delivered.json")
    except KdflowError:
        return {}


def read_json(path: Path) -> dict[str, Any]:
    """The object in a file.

    Raises:
        KdflowError: it is damaged, or cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise KdflowError(f"{path} is damaged: {error}; begin a new run") from None
    return content if isinstance(content, dict) else {}
