"""How good a model is: metrics, each said once, and the scores of a finished run."""

from kdflow.common.registry import discover

discover(__name__, __path__)
