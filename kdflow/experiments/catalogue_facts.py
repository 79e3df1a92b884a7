"""What can be chosen by name, found by importing all of it: data sets, models, distillers."""

from typing import Any

from kdflow.config.option import show
from kdflow.data.base import sources
from kdflow.distillers import distillers
from kdflow.models import build, cost, models

CLASSES = 10
"""Of the networks whose cost is told."""


def facts() -> dict[str, Any]:
    """What the catalogue says of each, as JSON has it."""
    return {"dataset": _datasets(), "model": _models(), "distiller": _distillers()}


def _datasets() -> dict[str, Any]:
    return {name: {"about": _first_line(sources[name])} for name in sources}


def _models() -> dict[str, Any]:
    found = {}
    for name in models:
        network = build(name, CLASSES, seed=0)
        found[name] = {
            "about": _first_line(models[name]),
            "parameters": cost.parameters(network),
            "flops": cost.forward_flops(network),
        }
    return found


def _distillers() -> dict[str, Any]:
    return {
        name: {
            "about": _first_line(distillers[name]),
            "knobs": {knob: [show(spec.default), spec.allowed] for knob, spec in distillers[name].settings().items()},
        }
        for name in distillers
    }


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
