"""What the figures were measured on and with."""

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from kdflow.device.runtime import cpu_name

BUSY = 0.5
PACKAGES = ("kdflow", "torch", "torchvision", "mlflow", "numpy")


def describe() -> dict[str, Any]:
    """Hardware, versions and date."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": {
            "cpu": cpu_name(),
            "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            "system": platform.platform(),
            "load_before": os.getloadavg()[0],
        },
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }


def phrase(facts: Mapping[str, Any]) -> str:
    """The same in a sentence, for the head of a report."""
    hardware, versions, images = facts["hardware"], facts["versions"], facts["images"]
    chips = [f"{hardware['cores']} cores of {hardware['cpu']}", f"{hardware['memory_gib']:g} GiB", hardware["gpu"]]
    sizes = " / ".join(f"{count:,}" for count in images["whole"].values())
    return (
        f"{facts['date'][:10]}, {', '.join(filter(None, chips))}; "
        f"{', '.join(f'{name} {number}' for name, number in versions.items())}. "
        f"Data: {facts['dataset']}, {sizes} images; an epoch below is {images['sample']['train']:,} training and "
        f"{images['sample']['val']:,} validation images; {facts['rounds']} rounds."
    )


def busy() -> str:
    """Why timings of this moment would mislead, or nothing."""
    load = os.getloadavg()[0]
    return (
        f"other programs use this machine (load {load:.1f}): they fall on unlike programs unlike" if load > BUSY else ""
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
