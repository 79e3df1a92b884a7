"""What a run that goes on must compute with, and on what, to equal one that was never stopped."""

from dataclasses import replace
from typing import Any

import torch

from kdflow.common.console import say
from kdflow.common.errors import DataError
from kdflow.common.version import __version__
from kdflow.config import RuntimeConfig
from kdflow.config.option import show
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.journal.journal import Journal
from kdflow.tracking.run import data_tags


def require_same_data(journal: Journal, data: Dataset) -> None:
    """A data set may have moved; its images, labels and split may not differ.

    Raises:
        DataError: they do.
    """
    theirs = journal.started["data"]
    for name, value in data_tags(data).items():
        if theirs[name] != value and name != "kdflow.data":
            what = name.removeprefix("kdflow.")
            raise DataError(
                f"--resume {journal.id}: {data.name} is not what the run saw ({what} {value[:8]}, the run has "
                f"{theirs[name][:8]}): give it the same images, or begin a new run"
            )


def same_threads(journal: Journal, config: RuntimeConfig) -> RuntimeConfig:
    """Left to itself, a run computes on as many threads as before it was stopped."""
    chosen = config.threads not in (0, "auto")
    return config if chosen else replace(config, threads=int(journal.started["computing"]["threads"]))


def tell_differences(journal: Journal, runtime: Runtime) -> None:
    """Says so where equal bits cannot be promised."""
    theirs, ours = journal.started["computing"], computing(runtime)
    differing = [f"{name} {ours[name]} (was {theirs.get(name)})" for name in ours if theirs.get(name) != ours[name]]
    if differing:
        say(
            f"Note: going on with {'; '.join(differing)}. The run will be sound, but it is not promised to equal one "
            "that was never stopped, bit for bit.",
            vital=True,
        )


def computing(runtime: Runtime) -> dict[str, Any]:
    """All that the last bits of a run depend on."""
    chip, dtype, _, _ = runtime.arithmetic
    return {
        "chip": chip,
        "arithmetic": dtype.removeprefix("torch."),
        "threads": str(runtime.threads),
        "deterministic": show(runtime.deterministic),
        "torch": torch.__version__,
        "kdflow": __version__,
    }
