"""What the figures were measured on and with."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from kdflow.device.runtime import cpu_name

BUSY = 0.5
PACKAGES = ("kdflow", "torch", "torchvision", "mlflow", "numpy")


def describe() -> dict[str, Any]:
    """Hardware, versions and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": platform.platform(),
        "load_before": os.getloadavg()[0],
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
    }


def phrase(facts: Mapping[str, Any]) -> str:
    """The same in a sentence, for the head of a report."""
    chips = [f"{facts['cores']} cores of {facts['cpu']}", f"{facts['memory_gib']:g} GiB", facts["gpu"]]
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    whole, sample = facts["images"]["whole"], facts["images"]["sample"]
    return (
        f"{facts['date'][:10]}, {', '.join(filter(None, chips))}; {versions}. "
        f"Data: {facts['dataset']}, {' / '.join(f'{count:,}' for count in whole.values())} images; an epoch below is "
        f"{sample['train']:,} training and {sample['val']:,} validation images; {facts['rounds']} rounds."
    )


def busy() -> str:
    """Why timings of this moment would mislead, or nothing."""
    load = os.getloadavg()[0]
    why = f"other programs use this machine (load {load:.1f}): they fall on unlike programs unlike"
    return why if load > BUSY else ""
