"""On what a run computes: device, arithmetic, threads."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from kdflow.config import RuntimeConfig
from kdflow.errors import UsageError

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
    """

    seed: int
    device: torch.device
    dtype: torch.dtype
    threads: int

    def autocast(self) -> torch.autocast:
        """A context in which training computes in `dtype`."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32)

    def own_randomness(self) -> AbstractContextManager[None]:
        """A context in which random numbers can be seeded without a trace outside."""
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def place(self, model: Model) -> Model:
        """Moves a model to the device, channels last: the layout in which convolutions are fastest."""
        return model.to(self.device).to(memory_format=torch.channels_last)

    def describe(self) -> str:
        """One phrase for people, such as "cpu, bf16, 2 threads"."""
        where = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else "cpu"
        arithmetic = "fp32" if self.dtype == torch.float32 else "bf16"
        return f"{where}, {arithmetic}, {self.threads} thread{'s' if self.threads > 1 else ''}"


def resolve(config: RuntimeConfig) -> Runtime:
    """Settles what `auto` means on this machine, and sets the number of threads.

    Raises:
        UsageError: CUDA is asked for and there is none.
    """
    if config.device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device is 'cuda': torch finds no CUDA device here; give cpu or auto")
    auto = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(auto if config.device == "auto" else config.device)
    bf16 = _has_bf16(device) if config.precision == "auto" else config.precision == "bf16"
    if config.threads:
        torch.set_num_threads(config.threads)
    if not bf16:
        torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32 on CUDA too
    return Runtime(config.seed, device, torch.bfloat16 if bf16 else torch.float32, torch.get_num_threads())


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(feature) for feature in _BF16_CPU_FEATURES)
