"""A model's weights beside a readable card that says what they are."""

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kdflow.common import sealed
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
    sealed.write(folder / WEIGHTS, state, card=folder / CARD, facts={"schema": SCHEMA, **card})


def read_card(folder: Path) -> dict[str, Any]:
    """The card of saved weights.

    Raises:
        KdflowError: there is none, or it is damaged or of another schema.
    """
    card = sealed.read_card(folder / CARD)
    if card.get("schema") != SCHEMA:
        raise KdflowError(f"{CARD}: expected a card of schema {SCHEMA}, written by this version of kdflow")
    return card


def read_weights(folder: Path) -> dict[str, Tensor]:
    """The saved weights, after their SHA-256 has been checked against the card.

    Raises:
        KdflowError: they are missing, damaged or not plain tensors.
    """
    state = sealed.read(folder / WEIGHTS, card=folder / CARD, expected=read_card(folder).get("sha256"))
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise KdflowError(f"{WEIGHTS}: expected a table of tensors, as kdflow saves them")
    return state
