"""What can be chosen by name, told at once: from a file that `make catalogue` keeps, while it fits the source."""

import hashlib
import json
from pathlib import Path
from typing import Any

from rich.table import Table

from kdflow.common.console import console

PACKAGE = Path(__file__).parent.parent
KEPT = Path(__file__).with_name("catalogue.json")
ROOMS = ("data", "distillers", "models")


def print_catalogue() -> None:
    """Prints every registered data set, model and distiller, the models with their cost at 10 classes."""
    facts = kept() or made()
    for table in (_datasets(facts["dataset"]), _models(facts["model"]), _distillers(facts["distiller"])):
        console.print(table)


def kept() -> dict[str, Any] | None:
    """The catalogue as it was kept; None if a file that registers something is not what it was then."""
    try:
        facts: dict[str, Any] = json.loads(KEPT.read_text(encoding="utf-8"))
        return facts if facts["source"] == source_digest() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def made() -> dict[str, Any]:
    """The catalogue as it is, which takes the time to import torch."""
    from kdflow.experiments.catalogue_facts import facts

    return {"source": source_digest(), **facts()}


def keep() -> None:
    """Writes the file, for `make catalogue`."""
    KEPT.write_text(json.dumps(made(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def source_digest() -> str:
    """SHA-256, as hex, of the source of all that registers something."""
    sha = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")):
        sha.update(f"{path.relative_to(PACKAGE).as_posix()}\n".encode() + path.read_bytes())
    return sha.hexdigest()


def _datasets(facts: dict[str, Any]) -> Table:
    table = Table(title="data sets (--dataset)", title_justify="left")
    for column in ("name", "what it is"):
        table.add_column(column, overflow="fold")
    for name, one in facts.items():
        table.add_row(name, one["about"])
    table.add_row("a folder", "train-*.parquet and test-*.parquet, or train/CLASS/* and test/CLASS/*.")
    return table


def _models(facts: dict[str, Any]) -> Table:
    table = Table(title="models (--model), cost at 10 classes", title_justify="left")
    for column in ("name", "parameters", "MFLOP an image", "what it is"):
        table.add_column(
            column, justify="right" if column in ("parameters", "MFLOP an image") else "left", overflow="fold"
        )
    for name, one in facts.items():
        table.add_row(name, f"{one['parameters']:,}", f"{one['flops'] / 1e6:.1f}", one["about"])
    table.add_row("torchvision:NAME", "", "", "Any torchvision classification model, such as torchvision:resnet18.")
    return table


def _distillers(facts: dict[str, Any]) -> Table:
    table = Table(title="distillers (--distiller)", title_justify="left")
    for column in ("name", "what the student learns", "knob", "default", "allowed"):
        table.add_column(column, overflow="fold")
    for name, one in facts.items():
        knobs = [[knob, *said] for knob, said in one["knobs"].items()] or [["", "", ""]]
        table.add_row(name, one["about"], *("\n".join(column) for column in zip(*knobs, strict=True)))
    return table
