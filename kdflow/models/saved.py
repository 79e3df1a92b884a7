"""A trained network, as its weights and card say it: nothing that a file says is run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from kdflow.common.errors import KdflowError
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.base import build
from kdflow.models.weights import CARD, read_weights

FACTS = {"model": str, "classes": list, "mean": list, "std": list, "data": str}
"""What a card must say for its network to be used, and as what."""
LONGEST_REASON = 400


def require_usable(card: Mapping[str, Any]) -> None:
    """Makes sure that a card says all that it takes to use its network.

    Raises:
        KdflowError: it does not, or its network takes images of another size.
    """
    if missing := [name for name, kind in FACTS.items() if not isinstance(card.get(name), kind)]:
        raise KdflowError(f"{CARD} does not say {', '.join(missing)}: is it a card of kdflow?")
    for name in ("mean", "std"):
        if len(card[name]) != 3 or not all(isinstance(one, int | float) for one in card[name]):
            raise KdflowError(f"{CARD} does not say {name} as three numbers: is it a card of kdflow?")
    if (size := card.get("image_size", IMAGE_SIZE)) != IMAGE_SIZE:
        raise KdflowError(f"it takes images of {size}x{size}, this version of kdflow {IMAGE_SIZE}x{IMAGE_SIZE}")


def read_network(folder: Path, card: Mapping[str, Any]) -> nn.Module:
    """The network whose weights a folder holds.

    Args:
        folder: Of `weights.pt` and `card.json`.
        card: What that says.

    Raises:
        KdflowError: there is no such network, or the weights are damaged, or those of another.
    """
    network = build(card["model"], len(card["classes"]), seed=0)
    try:
        network.load_state_dict(read_weights(folder), strict=True)
    except (TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:LONGEST_REASON]
        raise KdflowError(f"these are no weights of {card['model']}: {reason}") from None
    return network
