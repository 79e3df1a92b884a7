"""Files that are whole or not there: written beside their place, synced, then moved into it."""

import errno
import hashlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from kdflow.common.errors import KdflowError, UsageError

PART = ".part"
"""Ending of a file that is being written; what a killed process leaves under it is of no use."""


def write(path: Path, content: bytes) -> None:
    """Writes a file at once or not at all, and waits until it is on the disk; what stood there stays until then.

    Raises:
        KdflowError: the disk is full, or the folder cannot be written to.
    """
    try:
        part = path.with_name(f"{path.name}-{secrets.token_hex(4)}{PART}")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)  # readable as the user's own files are
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path.parent, error, needed=len(content)) from error


def append(path: Path, content: bytes) -> None:
    """Adds to a file all of it or nothing, and waits until it is on the disk.

    Raises:
        KdflowError: the disk is full, or the folder cannot be written to.
    """
    try:
        with path.open("ab", buffering=0) as file:
            whole = file.tell()
            if file.write(content) != len(content):
                file.truncate(whole)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file.fileno())
    except OSError as error:
        raise unwritable(path.parent, error, needed=len(content)) from error


def require_writable(folder: Path, *, option: str) -> None:
    """Makes sure that a folder takes files, or can be made; nothing is left behind.

    Args:
        folder: Where files will be written.
        option: Which the user can change, such as "--runs-dir".

    Raises:
        KdflowError: it takes none.
    """
    try:
        try_writing(folder)
    except OSError as error:
        reason = error.strerror or error
        raise KdflowError(f"{option} {folder} cannot be written to: {reason}; give another folder") from error


def require_working_folder() -> None:
    """Makes sure that there is a working directory, and that its name can be told: MLflow keeps addresses within it.

    Raises:
        UsageError: there is none, or its name is no UTF-8.
    """
    try:
        str(Path.cwd()).encode()
    except OSError as error:
        raise UsageError(f"the working directory is gone ({error.strerror}): change to another one") from error
    except UnicodeEncodeError:
        name = ascii(str(Path.cwd()))
        raise UsageError(f"the working directory {name} has a name that is no UTF-8: change to another one") from None


def try_writing(folder: Path) -> None:
    """Writes a file into a folder, or to where it would be made, and leaves nothing behind.

    Raises:
        OSError: it cannot be written.
    """
    present = next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))  # a link to nowhere is
    with tempfile.TemporaryFile(dir=present) as file:
        file.write(b"a few bytes")


def unwritable(folder: Path, error: OSError, *, needed: int) -> KdflowError:
    """What to tell a user whose file could not be written: on a full disk, what it needed and what there is.

    Args:
        folder: Exists.
        error: Why it could not.
        needed: Bytes.
    """
    if error.errno == errno.ENOSPC:
        needs, free = -(-needed // 1024), shutil.disk_usage(folder).free // 1024
        return KdflowError(f"no space left on {folder}: {needs:,} KiB needed, {free:,} KiB free; make room")
    return KdflowError(f"{folder} cannot be written to: {error.strerror or error}")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems do not know how
            raise
    finally:
        os.close(handle)
