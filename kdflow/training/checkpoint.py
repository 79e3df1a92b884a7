"""The training checkpoints of one cohort in one folder: written whole, verified when read, the last two kept.

`epoch-0007.pt` holds everything that training goes on from; `epoch-0007.json` beside it names its SHA-256, and what
people may want to know. The second is written last: a checkpoint counts from the moment that it is there.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kdflow.common import files, sealed
from kdflow.common.errors import KdflowError

SCHEMA = 2
_CARD = re.compile(r"epoch-([0-9]{4,9})\.json")


def save(folder: Path, epoch: int, content: dict[str, Any]) -> None:
    """Writes the checkpoint of an epoch, waits until it is on the disk, then removes all but it and the one before.

    Args:
        folder: Exists; holds the checkpoints of one training.
        epoch: From 1; checkpoints of later epochs, which training did not go on from, are removed too.
        content: Tensors, numbers, texts, None, and lists and dicts of them: what `torch.load` reads with
            `weights_only=True`. "schema" and "epoch" are added. Its "facts", JSON for people, are repeated in the
            card.

    Raises:
        KdflowError: the disk is full, or the folder cannot be written to; the checkpoints before stay as they were.
    """
    facts = {"schema": SCHEMA, "epoch": epoch, "facts": content.get("facts", {})}
    whole = {**content, "schema": SCHEMA, "epoch": epoch}
    sealed.write(_path(folder, epoch, "pt"), whole, card=_path(folder, epoch, "json"), facts=facts)
    try:
        _remove_all_but(folder, sorted(number for number in _epochs(folder) if number <= epoch)[-2:])
    except OSError as error:
        raise files.unwritable(folder, error, needed=0) from error


def load(folder: Path) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest checkpoint that is whole.

    Returns:
        Its content, with its "epoch", on the CPU; None where there is no checkpoint. And for the user, a line for each
        newer one that is damaged.

    Raises:
        KdflowError: there are checkpoints, and all are damaged; or the folder cannot be read.
    """
    damaged: list[str] = []
    try:
        epochs = sorted(_epochs(folder), reverse=True)
    except FileNotFoundError:
        epochs = []
    except OSError as error:
        raise KdflowError(f"{folder} cannot be read: {error.strerror or error}") from error
    for epoch in epochs:
        try:
            content = _read(folder, epoch)
        except KdflowError as error:
            damaged.append(str(error))
        else:
            return content, [f"{folder}: {reason}; epoch {epoch} is the last that is whole" for reason in damaged]
    if damaged:
        raise KdflowError(f"{folder}: no checkpoint can be used ({'; '.join(damaged)}); start a new run")
    return None, []


def _read(folder: Path, epoch: int) -> dict[str, Any]:
    card, path = _path(folder, epoch, "json"), _path(folder, epoch, "pt")
    content = sealed.read(path, card=card, expected=_vouched_for(card, epoch))
    if not isinstance(content, dict) or (content.pop("schema", None), content.get("epoch")) != (SCHEMA, epoch):
        raise KdflowError(f"{path.name} is not the checkpoint of epoch {epoch}")
    return content


def _vouched_for(path: Path, epoch: int) -> str:
    """The SHA-256 in a card."""
    card = sealed.read_card(path)
    schema, sha256 = card.get("schema"), card.get("sha256")
    if type(schema) is int and schema > SCHEMA:
        raise KdflowError(f"{path.name} was written by a newer kdflow (schema {schema}, not {SCHEMA}): update kdflow")
    if (type(schema), schema, card.get("epoch")) != (int, SCHEMA, epoch) or not isinstance(sha256, str):
        raise KdflowError(f"{path.name} is damaged: it is not the card of epoch {epoch}")
    return sha256


def _remove_all_but(folder: Path, kept: Iterable[int]) -> None:
    """Removes cards first, so that what is half removed does not count."""
    whole = {_path(folder, epoch, kind) for epoch in kept for kind in ("pt", "json")}
    for kind in ("epoch-*.json", "epoch-*.pt", f"*{files.PART}"):
        for path in folder.glob(kind):
            if path not in whole:
                path.unlink(missing_ok=True)


def _epochs(folder: Path) -> list[int]:
    """Of all checkpoints that were written to their end."""
    return [int(named[1]) for path in folder.iterdir() if (named := _CARD.fullmatch(path.name))]


def _path(folder: Path, epoch: int, kind: str) -> Path:
    return folder / f"epoch-{epoch:04}.{kind}"
