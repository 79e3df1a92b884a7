"""A model's weights beside a readable card that says what they are; verified and never unpickled when read."""

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdflow.common import files
from kdflow.common.errors import KdflowError

WEIGHTS = "weights.pt"
CARD = "card.json"
SCHEMA = 1


def save(folder: Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Writes `weights.pt` and `card.json`; the card gets the schema version and the weights' SHA-256.

    Raises:
        KdflowError: the disk is full, or the folder cannot be written to.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    files.write(folder / WEIGHTS, buffer.getvalue())
    sealed = {"schema": SCHEMA, **card, "sha256": files.sha256(folder / WEIGHTS)}
    files.write(folder / CARD, (json.dumps(sealed, indent=2) + "\n").encode())


def read_card(folder: Path) -> dict[str, Any]:
    """The card of saved weights.

    Raises:
        KdflowError: there is none, or it is damaged or of another schema.
    """
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise KdflowError(f"{path.name}: not readable: {error}") from None
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        raise KdflowError(f"{path.name}: expected a card of schema {SCHEMA}, written by this version of kdflow")
    return card


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The saved weights, after their SHA-256 has been checked against the card.

    Raises:
        KdflowError: they are missing, damaged or not plain tensors.
    """
    path = folder / WEIGHTS
    expected = read_card(folder).get("sha256")
    try:
        if files.sha256(path) != expected:
            raise KdflowError(
                f"{path.name}: the SHA-256 is not the one in {CARD}; the file is damaged or was exchanged"
            )
        with warnings.catch_warnings():  # torch warns of what it then refuses
            warnings.simplefilter("ignore")
            state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except KdflowError:
        raise
    except Exception as error:  # torch raises whatever foreign bytes make it run into
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise KdflowError(f"{path.name}: not readable as weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise KdflowError(f"{path.name}: expected a table of tensors, as kdflow saves them")
    return state
