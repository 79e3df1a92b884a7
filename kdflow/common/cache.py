"""What is dear to make and cheap to keep: tensors in files under the user's cache folder, found again by key.

Nothing depends on what is kept: the folder can be deleted at any time, and what cannot be read is made again.
"""

import hashlib
import os
import tempfile
import time
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from kdflow.common.version import __version__

LIMIT = 4 << 30
"""Bytes on disk above which what was not used for longest is deleted."""
PART, STALE = ".part", 24 * 3600.0
"""Ending of a file that is being written, and the seconds after which nobody can be writing it any more."""


def folder() -> Path:
    """`$XDG_CACHE_HOME/kdflow`, or `~/.cache/kdflow`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdflow"


def key(*parts: object) -> str:
    """A name for what these parts together decide; the versions of kdflow and torch are always among them."""
    return hashlib.sha256(repr((__version__, torch.__version__, *parts)).encode()).hexdigest()[:32]


def load(name: str) -> dict[str, Tensor] | None:
    """The tensors kept under a name, mapped into memory; None if there are none, or if they were damaged."""
    try:
        path = folder() / f"{name}.pt"
        kept = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        tensors: dict[str, Tensor] = kept["tensors"]
        if kept["sha256"] != fingerprint(tensors):
            return None
    except Exception:  # torch raises whatever damaged bytes make it run into
        return None
    with suppress(OSError):  # someone else's file can be read all the same
        os.utime(path)
    return tensors


def save(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Keeps tensors under a name, at once or not at all; says so if there is no room for them."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(suffix=PART, dir=folder())
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save({"sha256": fingerprint(tensors), "tensors": dict(tensors)}, file)
            os.replace(path, folder() / f"{name}.pt")
        finally:
            Path(path).unlink(missing_ok=True)
        _trim()
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = str(error).partition("\n")[0]
        warnings.warn(f"the cache cannot keep anything ({reason}): it will be made again next time", stacklevel=2)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, as hex, over names, types, shapes and every byte."""
    sha = hashlib.sha256()
    for name, tensor in tensors.items():
        sha.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _trim() -> None:
    """Deletes what was not used for longest, and what killed processes left half written."""
    kept, excess = [], -LIMIT
    for path in folder().iterdir():
        with suppress(FileNotFoundError):  # another process may have been quicker
            facts = path.stat()
            if path.suffix == PART and time.time() - facts.st_mtime > STALE:
                path.unlink()
            elif path.suffix == ".pt":
                kept.append((facts.st_mtime, facts.st_size, path))
                excess += facts.st_size
    for _, size, path in sorted(kept):
        if excess <= 0:
            break
        path.unlink(missing_ok=True)
        excess -= size
