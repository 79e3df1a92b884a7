"""The folders under `--runs-dir` and their files, as they are read."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from kdflow.common.errors import KdflowError
from kdflow.journal.entries import Entry

KEY = re.compile(r"[a-z]+-([0-9a-f]{12}-\d+|\d{8}-\d{6}-[0-9a-f]{8})(/|$)")
"""Names of folders, such as "study-3fa2b1c09d4e-1" (kind, beginning of the signature, attempt), and of runs in them,
such as "study-3fa2b1c09d4e-1/teacher-77aa0c1d2e3f". Version 0.1 had the time and a random number in place of the
signature and the attempt: "study-20261122-214500-3fa2b1c0/teacher"."""


def folders(runs_dir: Path, beginning: str = "") -> Iterator[Path]:
    """Those of all commands whose names begin like this, oldest first; what has another name is something else."""
    found = [path.parent for path in runs_dir.glob(f"{beginning}*/run.json") if KEY.fullmatch(path.parent.name)]
    yield from sorted(found, key=lambda folder: (_began(folder), folder.name))


def _began(folder: Path) -> float:
    """When a command began, in milliseconds since 1970; of what cannot be read, when it was written."""
    try:
        return float(read_json(folder / "run.json")["began"])
    except (KdflowError, KeyError, TypeError, ValueError):
        pass
    with suppress(ValueError):  # version 0.1 has it in the name
        return 1000 * time.mktime(time.strptime(folder.name.partition("-")[2][:15], "%Y%m%d-%H%M%S"))
    return 1000 * (folder / "run.json").stat().st_mtime


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
