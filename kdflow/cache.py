"""What is dear to make and cheap to keep: tensors in files under the user's cache folder, found again by key.

Nothing depends on what is kept: the folder can be deleted at any time, and what cannot be read is made again.
"""

import hashlib
import os
import pickle
import tempfile
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from kdflow import __version__

LIMIT = 4 << 30
"""Bytes on disk above which what was not used for longest is deleted."""


def folder() -> Path:
    """`$XDG_CACHE_HOME/kdflow`, or `~/.cache/kdflow`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kdflow"


def key(*parts: object) -> str:
    """A name for what these parts together decide; the versions of kdflow and torch are always among them."""
    return hashlib.sha256(repr((__version__, torch.__version__, *parts)).encode()).hexdigest()[:32]


def load(name: str) -> dict[str, Tensor] | None:
    """The tensors kept under a name, mapped into memory; None if there are none, or if they were damaged."""
    path = folder() / f"{name}.pt"
    try:
        kept = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
        tensors: dict[str, Tensor] = kept["tensors"]
        if kept["sha256"] != fingerprint(tensors):
            return None
        os.utime(path)
    except (OSError, RuntimeError, EOFError, LookupError, TypeError, AttributeError, pickle.UnpicklingError):
        return None
    return tensors


def save(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Keeps tensors under a name, at once or not at all; says so if there is no room for them."""
    try:
        folder().mkdir(parents=True, exist_ok=True)
        handle, path = tempfile.mkstemp(suffix=".part", dir=folder())
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save({"sha256": fingerprint(tensors), "tensors": dict(tensors)}, file)
            os.replace(path, folder() / f"{name}.pt")
        except BaseException:
            os.unlink(path)
            raise
        _trim()
    except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
        reason = str(error).partition("\n")[0]
        warnings.warn(f"{folder()} cannot keep anything ({reason}): it will be made again next time", stacklevel=2)


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256, as hex, over names, types, shapes and every byte."""
    sha = hashlib.sha256()
    for name, tensor in tensors.items():
        sha.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        sha.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return sha.hexdigest()


def _trim() -> None:
    kept = sorted((path.stat().st_mtime, path.stat().st_size, path) for path in folder().glob("*.pt"))
    excess = sum(size for _, size, _ in kept) - LIMIT
    for _, size, path in kept:
        if excess <= 0:
            break
        with suppress(FileNotFoundError):  # another process may have been quicker
            path.unlink()
        excess -= size
