"""The worker that measures how fast this machine convolves, at the teacher's shapes in kdflow's dtype, and copies."""

import time
from collections.abc import Callable, Iterator

import torch
from measuring import cohorts
from measuring.worker import Orders, Reply, Round, serve
from torch import Tensor, nn

from kdflow.common import process
from kdflow.config import TEACHER_RECIPE, RuntimeConfig
from kdflow.device.runtime import Runtime, resolve

SECONDS = 0.04  # an operation is repeated for so long
COPIED = 128 * 2**20


def rounds(orders: Orders) -> dict[str, Round]:
    runtime = resolve(RuntimeConfig(device=orders.device, threads=orders.threads))
    copied = torch.ones(COPIED, dtype=torch.uint8, device=runtime.device)
    target = torch.empty_like(copied)
    convolutions = list(_convolutions(runtime))

    def run() -> Reply:
        rates = [flops / _seconds(work, runtime.device) for flops, work in convolutions]
        bandwidth = 2 * COPIED / _seconds(lambda: target.copy_(copied), runtime.device)
        return {"flops_per_second": max(rates), "bytes_per_second": bandwidth}

    return {job.name: run for job in orders.jobs}


def _convolutions(runtime: Runtime) -> Iterator[tuple[int, Callable[[], object]]]:
    """FLOPs and work of each of the teacher's, forward and both ways, on a batch such as it gets in training."""
    side = {3: 32, 32: 16}
    for layer in runtime.place(cohorts.teacher(10, seed=0).model).to(runtime.dtype).modules():
        if not isinstance(layer, nn.Conv2d):
            continue
        size = side.get(layer.in_channels, 8)
        shape = (TEACHER_RECIPE.batch_size, layer.in_channels, size, size)
        images = torch.rand(shape, device=runtime.device, dtype=runtime.dtype)
        images = images.to(memory_format=torch.channels_last).requires_grad_(layer.in_channels != 3)
        flops = 2 * images.numel() * layer.out_channels * 9
        yield flops, torch.no_grad()(lambda layer=layer, images=images: layer(images))
        yield (3 if images.requires_grad else 2) * flops, _both_ways(layer, images)


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
