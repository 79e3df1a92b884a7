"""What a training step must at the least compute and move."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from kdflow import models
from kdflow.models.cost import parameters

# A good kernel does these while it does what comes before them.
FUSED = (nn.ReLU, nn.Dropout, nn.Flatten)
# For each weight: gradient written, read to clip, read; weight and momentum read and written; all float32.
OPTIMISER_BYTES = 7 * 4


@dataclass(frozen=True)
class Work:
    """Of one step.

    Attributes:
        flops: In convolutions and matrix products; multiply and add count as two.
        bytes: Read and written.
    """

    flops: int
    bytes: int

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.bytes + other.bytes)

    def floor_seconds(self, flops_per_second: float, bytes_per_second: float) -> float:
        """No step is faster: all arithmetic at its peak, and all traffic at its peak meanwhile."""
        return max(self.flops / flops_per_second, self.bytes / bytes_per_second)


def step_work(alphas: Sequence[float], *, classes: int, batch_size: int, bytes_each: int) -> Work:
    """A step of the teacher (no alphas), or of students in one pass with one forward of their teacher.

    Args:
        alphas: A student for each.
        classes: Number of logits.
        batch_size: Images of the step.
        bytes_each: Of one number of an activation: 2 in bf16, 4 in fp32.
    """
    images = torch.zeros(batch_size, 3, 32, 32)
    teacher = models.build("alexnet", classes, seed=0)
    if not alphas:
        return _training(teacher, images, bytes_each)
    one = _training(models.build("small-cnn", classes, seed=0), images, bytes_each)
    students = Work(len(alphas) * one.flops, len(alphas) * one.bytes)
    return students + _forward(teacher.eval(), images, bytes_each) if min(alphas) < 1 else students


def _training(model: nn.Module, images: Tensor, bytes_each: int) -> Work:
    with FlopCounterMode(display=False) as counter, _Traffic(model) as traffic:
        model(images).sum().backward()
    # Backward reads an output's gradient and the kept input, and writes the input's gradient.
    numbers = (traffic.inputs + traffic.outputs) + (traffic.outputs + 2 * traffic.inputs)
    return Work(counter.get_total_flops(), numbers * bytes_each + parameters(model) * OPTIMISER_BYTES)


@torch.no_grad()
def _forward(model: nn.Module, images: Tensor, bytes_each: int) -> Work:
    with FlopCounterMode(display=False) as counter, _Traffic(model) as traffic:
        model(images)
    return Work(counter.get_total_flops(), (traffic.inputs + traffic.outputs + parameters(model)) * bytes_each)


class _Traffic:
    """Counts what every layer, other than the fused ones, reads and writes in a forward pass."""

    def __init__(self, model: nn.Module) -> None:
        self.inputs = self.outputs = 0
        layers = [one for one in model.modules() if not list(one.children()) and not isinstance(one, FUSED)]
        self._hooks = [layer.register_forward_hook(self._count) for layer in layers]

    def __enter__(self) -> "_Traffic":
        return self

    def __exit__(self, *_: object) -> None:
        for hook in self._hooks:
            hook.remove()

    def _count(self, _: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self.inputs += args[0].numel()
        self.outputs += output.numel()
