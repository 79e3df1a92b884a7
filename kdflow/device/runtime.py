"""On what a run computes: device, arithmetic, threads."""

import os
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from kdflow.common.errors import UsageError
from kdflow.config import RuntimeConfig
from kdflow.device import threads
from kdflow.device.cuda_graphs import Graphed, Output

Model = TypeVar("Model", bound=nn.Module)

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

    @contextmanager
    def applied(self) -> Iterator[None]:
        """A context in which torch computes as this says, whatever else the process has set it to."""
        before, exact = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.set_num_threads(self.threads)
        try:
            if self.device.type != "cuda":
                yield
                return
            torch.use_deterministic_algorithms(self.deterministic, warn_only=True)  # torch names what it cannot repeat
            fp32 = self.dtype == torch.float32  # which means fp32 on CUDA too
            with torch.backends.cudnn.flags(
                benchmark=not self.deterministic, deterministic=self.deterministic, allow_tf32=not fp32
            ):
                yield
        finally:
            torch.set_num_threads(before)
            torch.use_deterministic_algorithms(exact, warn_only=warn_only)

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
    if device.type == "cuda" and config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # torch's notes on reproducibility
    may_try = device.type != "cuda" and not config.deterministic
    torch.set_num_threads(threads.chosen(config.threads, dtype, may_try=may_try))
    recorded = config.cuda_graphs and device.type == "cuda"
    return Runtime(config.seed, device, dtype, torch.get_num_threads(), config.deterministic, recorded)


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


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(feature) for feature in _BF16_CPU_FEATURES)
