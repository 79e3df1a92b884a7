"""The worker that measures how fast this machine multiplies, convolves (at the teacher's shapes) and copies."""

import time
from collections.abc import Callable, Iterator

import torch
from measuring.worker import Job, Orders, Reply, serve
from torch import Tensor, nn

from kdflow.common import process
from kdflow.config import TEACHER_RECIPE
from kdflow.models import build

SECONDS = 0.04  # an operation is repeated for so long
COPIED = 128 * 2**20
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    device = torch.device(orders.device)
    return {job.name: _round(job, device) for job in orders.jobs}


def _round(job: Job, device: torch.device) -> Callable[[], Reply]:
    def run() -> Reply:
        if job.threads:
            torch.set_num_threads(job.threads)
        # Giga-operations a second, or gigabytes.
        return {"rates": {name: amount / _seconds(work, device) / 1e9 for name, amount, work in _operations(device)}}

    return run


def _operations(device: torch.device) -> Iterator[tuple[str, float, Callable[[], object]]]:
    for kind, dtype in DTYPES.items():
        for size in (4096, 8192) if device.type == "cuda" else (512, 1024, 2048):
            left, right = (torch.rand(size, size, device=device, dtype=dtype) for _ in range(2))
            yield f"product {kind} {size}", 2 * size**3, lambda left=left, right=right: left @ right
        for layer, images in _convolutions(device, dtype):
            shape = f"{layer.in_channels}-{layer.out_channels}, {images.shape[-1]}x{images.shape[-1]}"
            flops = 2 * images.numel() * layer.out_channels * 9
            yield f"convolution {kind} {shape}, forward", flops, _forward(layer, images)
            back = 3 if images.requires_grad else 2
            yield f"convolution {kind} {shape}, both ways", back * flops, _both_ways(layer, images)
    source = torch.ones(COPIED, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    yield "copy, read and written", 2 * COPIED, lambda: target.copy_(source)


def _convolutions(device: torch.device, dtype: torch.dtype) -> Iterator[tuple[nn.Conv2d, Tensor]]:
    """The teacher's, each with a batch such as it gets in training, channels last."""
    side = {3: 32, 32: 16}
    for layer in build("alexnet", 10, seed=0).modules():
        if isinstance(layer, nn.Conv2d):
            size = side.get(layer.in_channels, 8)
            images = torch.rand(TEACHER_RECIPE.batch_size, layer.in_channels, size, size, device=device, dtype=dtype)
            placed = layer.to(device, dtype).to(memory_format=torch.channels_last)
            images = images.to(memory_format=torch.channels_last)
            yield placed, images.requires_grad_(layer.in_channels != 3)


def _forward(layer: nn.Conv2d, images: Tensor) -> Callable[[], object]:
    return torch.no_grad()(lambda: layer(images))


def _both_ways(layer: nn.Conv2d, images: Tensor) -> Callable[[], object]:
    wanted = [layer.weight, *([images] if images.requires_grad else [])]
    gradient = torch.ones_like(layer(images).detach())
    return lambda: torch.autograd.grad(layer(images), wanted, gradient)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """Of one call, the least of some."""
    best, until = float("inf"), time.perf_counter() + SECONDS
    while best == float("inf") or time.perf_counter() < until:
        began = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return best


if __name__ == "__main__":
    process.prepare()
    serve(rounds)
