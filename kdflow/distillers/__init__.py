"""Distillers by name: what a student takes from its teacher."""

from kdflow.common.registry import discover
from kdflow.distillers.base import Distiller, distillers
from kdflow.distillers.building import build

__all__ = ["Distiller", "build", "distillers"]

discover(__name__, __path__)
