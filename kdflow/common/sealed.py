"""Tensors in a file beside a readable card that names its SHA-256: written whole, verified, never unpickled."""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from kdflow.common import files
from kdflow.common.errors import KdflowError


def write(path: Path, content: Any, *, card: Path, facts: Mapping[str, Any]) -> None:
    """Writes tensors, then the card, which makes them count from the moment that it is there.

    Args:
        path: Of the tensors.
        content: Tensors, numbers, texts, None, and lists and dicts of them.
        card: JSON for people.
        facts: What it says; "sha256" is added.

    Raises:
        KdflowError: the disk is full, or the folder cannot be written to; what stood there stays.
    """
    buffer = io.BytesIO()
    torch.save(content, buffer)
    sealed = buffer.getvalue()
    text = json.dumps({**facts, "sha256": _sha256(sealed)}, indent=2) + "\n"
    files.write(path, sealed)
    files.write(card, text.encode())


def read_card(card: Path) -> dict[str, Any]:
    """What a card says.

    Raises:
        KdflowError: there is none, or it is damaged.
    """
    try:
        facts = json.loads(card.read_bytes())
    except OSError as error:
        raise KdflowError(f"{card.name} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise KdflowError(f"{card.name} is damaged: it is not JSON") from error
    if not isinstance(facts, dict):
        raise KdflowError(f"{card.name} is damaged: it is no table of facts")
    return facts


def read(path: Path, *, card: Path, expected: object) -> Any:
    """Tensors on the CPU, after their SHA-256 was found to be the one that the card vouches for.

    Raises:
        KdflowError: they are missing, damaged, exchanged, or a program.
    """
    try:
        sealed = path.read_bytes()
    except OSError as error:
        raise KdflowError(f"{path.name} cannot be read: {error.strerror or error}") from error
    if _sha256(sealed) != expected:
        raise KdflowError(f"{path.name} is damaged or was exchanged: its SHA-256 is not the one in {card.name}")
    try:
        with warnings.catch_warnings():  # torch warns of what it then refuses
            warnings.simplefilter("ignore")
            return torch.load(io.BytesIO(sealed), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever foreign bytes make it run into
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise KdflowError(f"{path.name} holds no tensors that can be read: {reason}") from error


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
