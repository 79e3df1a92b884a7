"""What can be chosen by name: data sets, models, distillers."""

from typing import Literal

from rich.table import Table

from kdflow.console import console
from kdflow.data.base import sources
from kdflow.distillers.base import distillers
from kdflow.models import build, cost
from kdflow.models.base import models
from kdflow.options import show

CLASSES = 10


def print_catalogue() -> None:
    """Prints every registered data set, model and distiller, the models with their cost at 10 classes."""
    data = Table(title="data sets (--dataset)", title_justify="left")
    for column in ("name", "what it is"):
        data.add_column(column, overflow="fold")
    for name in sources:
        data.add_row(name, _first_line(sources[name]))
    data.add_row("a folder", "train-*.parquet and test-*.parquet, or train/CLASS/* and test/CLASS/*.")

    nets = Table(title=f"models (--model), cost at {CLASSES} classes", title_justify="left")
    for column in ("name", "parameters", "MFLOP an image", "what it is"):
        justify: Literal["left", "right"] = "right" if column in ("parameters", "MFLOP an image") else "left"
        nets.add_column(column, justify=justify, overflow="fold")
    for name in models:
        net = build(name, CLASSES, seed=0)
        flops = f"{cost.forward_flops(net) / 1e6:.1f}"
        nets.add_row(name, f"{cost.parameters(net):,}", flops, _first_line(models[name]))
    nets.add_row("torchvision:NAME", "", "", "Any torchvision classification model, such as torchvision:resnet18.")

    methods = Table(title="distillers (--distiller)", title_justify="left")
    for column in ("name", "what the student learns", "knob", "default", "allowed"):
        methods.add_column(column, overflow="fold")
    for name in distillers:
        knobs = distillers[name].knobs
        texts = [[knob, show(spec.default), spec.allowed] for knob, spec in knobs.items()] or [["", "", ""]]
        methods.add_row(
            name, _first_line(distillers[name]), *("\n".join(column) for column in zip(*texts, strict=True))
        )

    for table in (data, nets, methods):
        console.print(table)


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0]
