"""On what a run computes: device, arithmetic, threads."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from kdflow.common.errors import UsageError
from kdflow.config import RuntimeConfig
from kdflow.device.cuda_graphs import Graphed, Output

Model = TypeVar("Model", bound=nn.Module)

EVERY_CORE = torch.get_num_threads()
TRIALS, REPEATS, PATIENCE = 7, 30, 1.0
_BF16_CPU_FEATURES = ("avx512_bf16", "amx_bf16", "bf16")


@dataclass(frozen=True)
class Runtime:
    """A resolved `RuntimeConfig`.

    Attributes:
        seed: Of weights, order, augmentation and dropout.
        device: Where to compute.
        dtype: Of convolutions and matrix products in training: bfloat16 or float32.
        threads: CPU threads in use.
        deterministic: Whether CUDA is held to algorithms that repeat themselves.
        cuda_graphs: Whether steps on CUDA are recorded, and replayed as one.
    """

    seed: int
    device: torch.device
    dtype: torch.dtype
    threads: int
    deterministic: bool = False
    cuda_graphs: bool = False

    @property
    def arithmetic(self) -> tuple[str, ...]:
        """All that rounding depends on, beside the versions of libraries."""
        chip = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else cpu_name()
        return chip, str(self.dtype), str(self.threads), str(self.deterministic)

    @property
    def settled(self) -> dict[str, str | int]:
        """What `auto` and 0 of the options have come to mean."""
        precision = "fp32" if self.dtype == torch.float32 else "bf16"
        return {"device": self.device.type, "precision": precision, "threads": self.threads}

    def autocast(self) -> torch.autocast:
        """A context in which training computes in `dtype`; each weight is used once a step, so no copy is kept."""
        enabled = self.dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=enabled, cache_enabled=False)

    def scalars(self, values: Sequence[float]) -> Sequence[float | Tensor]:
        """Numbers as a training step takes them: on CUDA as tensors there, so that nothing waits for them."""
        if self.device.type == "cuda":
            return torch.tensor(values, device=self.device).unbind()
        return values

    def recorded(self, function: Callable[..., Output]) -> Callable[..., Output]:
        """A function of tensors as a recorded CUDA graph where that is asked for, and else as it is."""
        return Graphed(function) if self.cuda_graphs else function

    def own_randomness(self) -> AbstractContextManager[None]:
        """A context in which random numbers can be seeded without a trace outside."""
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def place(self, model: Model) -> Model:
        """Moves a model to the device, channels last: the layout in which convolutions are fastest."""
        return model.to(self.device).to(memory_format=torch.channels_last)

    def describe(self) -> str:
        """One phrase for people, such as "cpu, bf16, 2 threads"."""
        where = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        return f"{where}, {self.settled['precision']}, {self.threads} thread{'s' if self.threads > 1 else ''}"


def resolve(config: RuntimeConfig) -> Runtime:
    """Settles what `auto` means on this machine, and sets the number of threads.

    Raises:
        UsageError: CUDA is asked for and there is none.
    """
    require_device(config)
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if config.device == "auto" else config.device)
    bf16 = _has_bf16(device) if config.precision == "auto" else config.precision == "bf16"
    dtype = torch.bfloat16 if bf16 else torch.float32
    if device.type == "cuda":
        _prepare_cuda(fp32=not bf16, deterministic=config.deterministic)
    tried = config.threads == "auto" and device.type != "cuda" and not config.deterministic
    given = config.threads if isinstance(config.threads, int) else 0
    torch.set_num_threads(_fastest_threads(dtype) if tried else given or EVERY_CORE)
    recorded = config.cuda_graphs and device.type == "cuda"
    return Runtime(config.seed, device, dtype, torch.get_num_threads(), config.deterministic, recorded)


@contextmanager
def threads_as_before() -> Iterator[None]:
    """Within this, torch may be given other numbers of threads; afterwards it has what it had."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_device(config: RuntimeConfig) -> None:
    """Makes sure that the device is there.

    Raises:
        UsageError: CUDA is asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device is 'cuda': torch finds no CUDA device here; give cpu or auto")


def cpu_name() -> str:
    """The processor as the system calls it, and what torch makes of it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines() if cpuinfo.exists() else []
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    return f"{model} ({torch.backends.cpu.get_cpu_capability()})"


def _prepare_cuda(*, fp32: bool, deterministic: bool) -> None:
    torch.backends.cudnn.allow_tf32 = not fp32  # fp32 means fp32 on CUDA too
    torch.backends.cudnn.benchmark = not deterministic
    torch.backends.cudnn.deterministic = deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch's notes on reproducibility
    torch.use_deterministic_algorithms(deterministic, warn_only=True)  # torch names what it cannot repeat


def _fastest_threads(dtype: torch.dtype) -> int:
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


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(feature) for feature in _BF16_CPU_FEATURES)
