"""What a training step must at the least compute and move."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from measuring import cohorts
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

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
    teacher = cohorts.teacher(classes, seed=0).model
    if not alphas:
        return _work(teacher, images, bytes_each)
    works = [_work(one.model, images, bytes_each) for one in cohorts.students(classes, alphas, seed=0)]
    if min(alphas) < 1:
        works.append(_work(teacher.eval(), images, bytes_each))
    return Work(sum(work.flops for work in works), sum(work.bytes for work in works))


def _work(model: nn.Module, images: Tensor, bytes_each: int) -> Work:
    """Of a training step, or of a forward pass in eval mode."""
    sizes: list[tuple[int, int]] = []
    for layer in model.modules():
        if not list(layer.children()) and not isinstance(layer, FUSED):
            layer.register_forward_hook(lambda _, args, output: sizes.append((args[0].numel(), output.numel())))
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(model.training):
        logits = model(images)
        if model.training:
            logits.sum().backward()
    inputs, outputs = map(sum, zip(*sizes, strict=True))
    if not model.training:
        return Work(counter.get_total_flops(), (inputs + outputs + parameters(model)) * bytes_each)
    # Backward reads an output's gradient and the kept input, and writes the input's gradient.
    numbers = (inputs + outputs) + (outputs + 2 * inputs)
    return Work(counter.get_total_flops(), numbers * bytes_each + parameters(model) * OPTIMISER_BYTES)
