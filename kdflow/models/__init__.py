"""Networks by name, their named activations, their weights, and how they are exported."""

from kdflow.common.registry import discover
from kdflow.models.base import build, models

__all__ = ["build", "models"]

discover(__name__, __path__)
