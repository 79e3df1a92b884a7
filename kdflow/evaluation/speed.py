"""How quick a finished model is: one image, and a batch, beside its teacher in the same process."""

import time
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

from kdflow.models.export import Servable

ROUNDS = 15
"""Timed forwards of each model, in turns, so that a machine that slows down slows all of them."""
WARM_UP = 3
BATCH = 128
"""Images, of which a batch is timed."""


def speed(models: Mapping[str, Servable], images: Tensor) -> dict[str, dict[str, float]]:
    """Times models on raw images, as they are registered.

    Args:
        models: By name, all on one device.
        images: uint8 `[N, 3, H, W]`, of which a batch is taken.

    Returns:
        For each name, medians: `speed/latency_ms` of one image, and `speed/batch_images_per_second`.
    """
    device = next(next(iter(models.values())).buffers()).device
    batch = images[:BATCH].to(device).permute(0, 2, 3, 1).contiguous()
    single, whole = _seconds(models, batch[:1]), _seconds(models, batch)
    return {
        name: {"speed/latency_ms": 1000 * single[name], "speed/batch_images_per_second": len(batch) / whole[name]}
        for name in models
    }


def to_teacher(student: Mapping[str, float], teacher: Mapping[str, float]) -> dict[str, float]:
    """How quick a student is in multiples of its teacher."""
    pairs = {
        "speed/latency_to_teacher": "speed/latency_ms",
        "speed/throughput_to_teacher": "speed/batch_images_per_second",
    }
    return {ratio: student[name] / teacher[name] for ratio, name in pairs.items()}


@torch.inference_mode()
def _seconds(models: Mapping[str, Servable], images: Tensor) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(WARM_UP + ROUNDS):
        for name, model in models.items():
            began = time.perf_counter()
            model(images).cpu()  # which waits for a GPU
            taken[name].append(time.perf_counter() - began)
    return {name: median(seconds[WARM_UP:]) for name, seconds in taken.items()}
