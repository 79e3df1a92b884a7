"""A trained network, as its weights and card say it: no code of a file is run for it."""

from pathlib import Path
from typing import Any

from torch import nn

from kdflow.common.errors import KdflowError
from kdflow.models.base import build
from kdflow.models.weights import CARD, read_card, read_weights

FACTS = {"model": str, "classes": list, "image_size": int, "mean": list, "std": list, "data": str}
"""What a card must say for its network to be used, and as what."""
LONGEST_REASON = 400


def read_network(folder: Path) -> tuple[nn.Module, dict[str, Any]]:
    """The network that a folder of `weights.pt` and `card.json` holds, and the card.

    Raises:
        KdflowError: the folder holds none, or what it holds is damaged.
    """
    card = read_card(folder)
    if missing := [name for name, kind in FACTS.items() if not isinstance(card.get(name), kind)]:
        raise KdflowError(f"{CARD} does not say {', '.join(missing)}: is it a card of kdflow?")
    network = build(card["model"], len(card["classes"]), seed=0)
    try:
        network.load_state_dict(read_weights(folder), strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise KdflowError(f"these are no weights of {card['model']}: {reason}") from None
    return network.eval(), card
