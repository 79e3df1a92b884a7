"""How many CPU threads torch computes with."""

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

EVERY_CORE = torch.get_num_threads()
TRIALS, REPEATS, PATIENCE = 7, 30, 1.0


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Within this, torch may be given other numbers of threads; afterwards it has what it had."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def chosen(threads: int | str, dtype: torch.dtype, *, may_try: bool) -> int:
    """The number of threads that an option means: 0 is every core, "auto" is what is fastest where it may be tried."""
    if threads == "auto" and may_try:
        return _fastest(dtype)
    return threads if isinstance(threads, int) and threads else EVERY_CORE


def _fastest(dtype: torch.dtype) -> int:
    """All cores, unless one thread is faster: waiting for a core that others use costs more than it gives.

    Tries convolutions of a student's size in turn on one thread and on all, for a second at the most.
    """
    if EVERY_CORE == 1:
        return 1
    images = torch.ones(128, 16, 16, 16, dtype=dtype).to(memory_format=torch.channels_last)
    weights = torch.ones(16, 16, 3, 3, dtype=dtype).to(memory_format=torch.channels_last)
    seconds: dict[int, list[float]] = {1: [], EVERY_CORE: []}
    until = time.perf_counter() + PATIENCE
    while len(seconds[1]) < TRIALS and (len(seconds[1]) < 2 or time.perf_counter() < until):
        for threads, times in seconds.items():
            torch.set_num_threads(threads)
            torch.conv2d(images, weights, padding=1)
            began = time.perf_counter()
            for _ in range(REPEATS):
                torch.conv2d(images, weights, padding=1).relu_()
            times.append(time.perf_counter() - began)
    return min(seconds, key=lambda threads: statistics.median(seconds[threads]))
