"""A model's weights beside a readable card that says what they are; verified and never unpickled when read."""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kdflow.errors import KdflowError
from kdflow.files import sha256

WEIGHTS = "weights.pt"
CARD = "card.json"
SCHEMA = 1


def save(folder: Path, model: nn.Module, card: dict[str, Any]) -> None:
    """Writes `weights.pt` and `card.json`; the card gets the schema version and the weights' SHA-256."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    torch.save(state, folder / WEIGHTS)
    sealed = {"schema": SCHEMA, **card, "sha256": sha256(folder / WEIGHTS)}
    (folder / CARD).write_text(json.dumps(sealed, indent=2) + "\n")


def read_card(folder: Path) -> dict[str, Any]:
    """The card of saved weights.

    Raises:
        KdflowError: there is none, or it is damaged or of another schema.
    """
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_text())
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
        if sha256(path) != expected:
            raise KdflowError(
                f"{path.name}: the SHA-256 is not the one in {CARD}; the file is damaged or was exchanged"
            )
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise KdflowError(f"{path.name}: not readable as weights: {reason}") from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise KdflowError(f"{path.name}: expected a table of tensors, as kdflow saves them")
    return state
