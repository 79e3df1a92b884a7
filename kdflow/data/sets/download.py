"""Files from the network: fetched into a private folder, verified there, and only then moved to where they belong."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from filelock import FileLock, Timeout

from kdflow.common.errors import DataError
from kdflow.common.files import PART, sha256

ATTEMPTS, PAUSE = 5, 1.0
"""How often a server is asked for one file at most, and the seconds before it is asked again."""
PATIENCE = 60.0
"""Seconds without a byte after which a server is given up."""
LIMIT = 1 << 30
"""Bytes after which what comes cannot be what was asked for."""
CHUNK = 1 << 16
"""Bytes read at once; of the last, what came before a silence is asked for again."""


_MAY_DOWNLOAD: ContextVar[bool] = ContextVar("may_download", default=True)


@contextmanager
def no_downloads() -> Iterator[None]:
    """Within this, what is not there is not fetched."""
    token = _MAY_DOWNLOAD.set(False)
    try:
        yield
    finally:
        _MAY_DOWNLOAD.reset(token)


class _BrokenOff(Exception):
    """The connection ended before the file did."""


@contextmanager
def workplace(path: Path) -> Iterator[Path]:
    """A private folder (mode 0700) beside a file that is to be made, for one process at a time: the others wait.

    Whoever has waited should look again whether there still is something to do.

    Raises:
        OSError: the folder of the file cannot be written to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.parent / f".{path.name}.lock")
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        print(f"{path} is being made by another process: waiting for it", file=sys.stderr)
        held = lock.acquire()
    with held:
        prefix = f".{path.name}{PART}-"
        for left_by_a_killed_process in path.parent.glob(f"{prefix}*"):
            shutil.rmtree(left_by_a_killed_process, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as private:
            yield Path(private)


def download(url: str, path: Path, *, expected: str) -> None:
    """Downloads a file and verifies it; a download that breaks off is continued where it was, if the server can.

    Args:
        url: Of the file.
        path: Where it goes, in a private folder: what is there after a failure is of no use.
        expected: SHA-256 of the file, as hex.

    Raises:
        DataError: the server does not deliver it, or delivers something else; or nothing may be downloaded now.
        OSError: there is no room for it.
    """
    if not _MAY_DOWNLOAD.get():
        raise DataError(f"{path.name} is not here, and is not fetched for this")
    with path.open("wb") as file:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _continue(url, file)
                break
            except _BrokenOff as error:
                if attempt == ATTEMPTS or not file.tell() or _is_final(error):
                    raise DataError(f"{url} cannot be downloaded: {error}") from error
                print(f"{url}: {error}; continuing after {file.tell():,} bytes", file=sys.stderr)
                time.sleep(PAUSE)
    found = sha256(path)
    if found != expected:
        raise DataError(f"{url} delivers something else (sha256 {found}, expected {expected})")


def _continue(url: str, file: IO[bytes]) -> None:
    """Appends what a file still lacks, or begins anew where the server cannot continue."""
    from torch.hub import tqdm  # type: ignore[attr-defined] # which does without where tqdm is not installed

    with _network():
        response: HTTPResponse = urlopen(_rest(url, file.tell()), timeout=PATIENCE)
    with response:
        if file.tell() and not response.headers.get("Content-Range", "").startswith(f"bytes {file.tell()}-"):
            file.seek(0)
            file.truncate()
        total = None if response.length is None else file.tell() + response.length
        with tqdm(total=total, unit="B", unit_scale=True) as bar:
            bar.update(file.tell())
            while chunk := _read(response):
                file.write(chunk)
                bar.update(len(chunk))
                if file.tell() > LIMIT:
                    raise DataError(f"{url} delivers something else (more than {LIMIT:,} bytes)")
        if response.length:
            raise _BrokenOff(f"the server broke off after {file.tell():,} of {total:,} bytes")


def _rest(url: str, start: int) -> Request:
    return Request(url, headers={"User-Agent": "kdflow", **({"Range": f"bytes={start}-"} if start else {})})


def _read(response: HTTPResponse) -> bytes:
    with _network():
        return response.read(CHUNK)


@contextmanager
def _network() -> Iterator[None]:
    """Tells failures of the network from those of the disk."""
    try:
        yield
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise _BrokenOff(str(error) or type(error).__name__) from error


def _is_final(error: _BrokenOff) -> bool:
    """Whether the server itself says that asking again is of no use."""
    return isinstance(error.__cause__, HTTPError) and error.__cause__.code < 500
