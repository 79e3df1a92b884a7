"""A sqlite store that was moved, or copied with its project: MLflow notes whole paths of its artifacts."""

import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from kdflow.common.errors import TrackingError

Places = tuple[tuple[str, str, str], ...]
"""Table, column, and in which of its rows."""
EXPERIMENTS: Places = (("experiments", "artifact_location", "true"),)
# Everywhere that MLflow notes where artifacts are.
EVERYWHERE: Places = (
    *EXPERIMENTS,
    ("runs", "artifact_uri", "true"),
    ("logged_models", "artifact_location", "true"),
    ("model_versions", "storage_location", "true"),
    ("model_versions", "source", "true"),
    ("trace_tags", "value", "key = 'mlflow.artifactLocation'"),
)
MEND = "mend it with `kdflow doctor --relocate`"


@dataclass(frozen=True)
class Relocated:
    """What was mended.

    Attributes:
        count: How many addresses.
        old: Where they said that the artifacts are, the folders of projects.
        new: Where they say so now.
        backup: The database as it was.
    """

    count: int
    old: tuple[Path, ...]
    new: Path
    backup: Path


def moved(file: Path, places: Places = EVERYWHERE) -> dict[str, str]:
    """Addresses of artifacts that are elsewhere and, by the same relative path, beside the database; with where.

    They are of the folder that the store was moved away from, or copied from; what is nowhere else stays.

    Args:
        file: The database; without one nothing has moved.
        places: Where to look for addresses.

    Raises:
        TrackingError: it cannot be read.
    """
    if not file.exists():
        return {}
    file = file.resolve()
    with _opened(f"{file.as_uri()}?mode=ro") as store:
        return _moved(store, places, file)


def relocate(file: Path) -> Relocated | None:
    """Lets a sqlite store that was moved find its artifacts again; None where nothing is to be mended.

    Raises:
        TrackingError: it cannot be written.
    """
    if not file.exists():
        return None
    file = file.resolve()
    with _opened(file.as_uri()) as store:
        store.execute("BEGIN IMMEDIATE")
        found = _moved(store, EVERYWHERE, file)
        if not found:
            return None
        backup = _copied(file)
        count = sum(
            store.execute(f"UPDATE {table} SET {column} = ? WHERE {column} = ? AND {rows}", (new, old)).rowcount
            for table, column, rows in _present(store, EVERYWHERE)
            for old, new in found.items()
        )
        store.execute("COMMIT")
    roots = {_root(_path(old), _path(new), file.parent) for old, new in found.items()}
    return Relocated(count, tuple(sorted(roots)), file.parent, backup)


@contextmanager
def _opened(address: str) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as store:
            yield store
    except (sqlite3.Error, OSError) as error:
        raise TrackingError(f"the store {address.partition('?')[0]} cannot be used: {error}") from error


def is_missing(address: str) -> bool:
    """Whether an address means a folder of this machine that is not there."""
    return _is_local(address) and not os.path.exists(_path(address))


def _moved(store: sqlite3.Connection, places: Places, file: Path) -> dict[str, str]:
    here, found, missing = file.parent, {}, {}
    for address in filter(_is_local, _addresses(store, places)):
        path = _path(address)
        new = _beside(path, here)
        if is_missing(address):
            missing[address] = path
        elif not (new and _is_copied(file, _root(path, new, here))):
            continue
        if new:
            found[address] = new
    roots = {_root(_path(address), new, here) for address, new in found.items()}
    for address, path in missing.items():  # where nothing was written yet: with all else that was in the folder
        root = next((root for root in roots if path.is_relative_to(root)), None)
        if root is None or address in found:
            continue
        if _is_copied(file, root) or not os.path.exists(root / path.relative_to(root).parts[0]):
            found[address] = here / path.relative_to(root)
    return {old: new.as_uri() if old.startswith("file:") else str(new) for old, new in found.items()}


def _is_copied(file: Path, root: Path) -> bool:
    """Whether a database is a copy of one that still is where its addresses say, in the folder that was copied."""
    original = root / file.name
    return original.exists() and not original.samefile(file)


def _is_local(address: str) -> bool:
    return address.startswith(("/", "file:"))


def _addresses(store: sqlite3.Connection, places: Places) -> Iterator[str]:
    for table, column, rows in _present(store, places):
        for (address,) in store.execute(f"SELECT DISTINCT {column} FROM {table} WHERE {rows}"):
            yield str(address)


def _present(store: sqlite3.Connection, places: Places) -> Places:
    """Those that the schema of this store has."""
    tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return tuple(place for place in places if place[0] in tables)


def _path(address: str) -> Path:
    """As MLflow reads it."""
    return Path(url2pathname(urlsplit(address).path if address.startswith("file:") else address))


def _beside(path: Path, here: Path) -> Path | None:
    """The place beside the database that has the same name as a place elsewhere, from some folder on."""
    names = path.parts[1:]
    tails = (here.joinpath(*names[first:]) for first in range(len(names) - 2, -1, -1))  # of two names at the least
    return next((tail for tail in tails if os.path.exists(tail)), None)


def _root(old: Path, new: Path, here: Path) -> Path:
    """The folder that stood where the database is now."""
    return Path(*old.parts[: -len(new.relative_to(here).parts)])


def _copied(file: Path) -> Path:
    backup = file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}.backup")
    os.close(os.open(backup, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(backup)) as new:
        old.backup(new)
    shutil.copymode(file, backup)
    return backup
