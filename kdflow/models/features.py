"""Named activations of one forward pass, of any model, without changing it."""

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kdflow.common.errors import UsageError
from kdflow.data.base import IMAGE_SIZE

LOGITS = "logits"
EMBEDDING = "embedding"
STAGES = "stages"

Activations = Mapping[str, Tensor]
_POOLED_TO_A_SIZE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)


class Tapped:
    """Calls a model and gives the activations that were asked for, in float32 whatever the model computes in.

    Args:
        model: Any model from images to logits.
        names: "logits" is what the model returns; "embedding" is `[batch, features]`, what its last linear layer gets;
            "stages" are "stage.0", "stage.1", ..., `[batch, channels, height, width]` (see `stages`); any other name
            is a module's path, such as "features.3", and stands for what that module returns.

    Raises:
        UsageError: the model has no such module.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self.model = model
        self._caught: dict[str, Tensor] = {}
        self._hooks = [hook for name in sorted(set(names) - {LOGITS}) for hook in self._hook(name)]

    def __call__(self, images: Tensor) -> dict[str, Tensor]:
        """One forward pass; a dict with "logits" and each name asked for."""
        logits = self.model(images)
        activations = {LOGITS: logits.float(), **self._caught}
        self._caught.clear()
        return activations

    def close(self) -> None:
        """Takes the hooks off the model."""
        for hook in self._hooks:
            hook.remove()

    def _hook(self, name: str) -> list[RemovableHandle]:
        if name == STAGES:
            return [self._hook_output(f"stage.{number}", path) for number, path in enumerate(stages(self.model))]
        if name == EMBEDDING:
            linear = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
            if not linear:
                raise UsageError(f"{type(self.model).__name__} has no linear layer, so it has no embedding")
            return [linear[-1].register_forward_pre_hook(lambda _, args: self._catch(name, args[0]))]
        return [self._hook_output(name, name)]

    def _hook_output(self, name: str, path: str) -> RemovableHandle:
        try:
            module = self.model.get_submodule(path)
        except AttributeError:
            raise UsageError(f"{type(self.model).__name__} has no module {path!r} to take activations from") from None
        return module.register_forward_hook(lambda _, args, output: self._catch(name, output))

    def _catch(self, name: str, activation: Tensor) -> None:
        # A copy, as the next layer may work in place.
        self._caught[name] = activation.to(torch.float32, copy=True)


@torch.no_grad()
def stages(model: nn.Module) -> list[str]:
    """Paths of the modules that give the last activation at each spatial size, the largest size first.

    Found by one forward in eval mode. What is smaller than something later is an excursion (squeeze-and-excitation
    pools to one pixel on the way), and a pool to a fixed size belongs to the head: neither is a stage.

    Raises:
        UsageError: the model has no feature maps.
    """
    maps: list[tuple[int, str]] = []

    def note(path: str, output: object) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            maps.append((output.shape[2] * output.shape[3], path))

    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    was_training = model.training
    with ExitStack() as hooked:
        for path, module in model.named_modules():
            if path and not isinstance(module, _POOLED_TO_A_SIZE):
                hook = module.register_forward_hook(lambda _, args, output, path=path: note(path, output))
                hooked.callback(hook.remove)
        model.eval()
        try:
            model(torch.zeros(1, 3, IMAGE_SIZE, IMAGE_SIZE, device=device))
        finally:
            model.train(was_training)
    found: dict[int, str] = {}
    for size, path in reversed(maps):
        if size > max(found, default=0):
            found[size] = path
    if not found:
        raise UsageError(f"{type(model).__name__} has no feature maps, so it has no stages")
    return [found[size] for size in sorted(found, reverse=True)]


def paired_stages(student: Activations, teacher: Activations) -> list[tuple[str, str]]:
    """Names of the stages of student and teacher that belong together, those of equal size, the largest first.

    Where no sizes are equal, the deepest of one belongs to the deepest of the other.

    Args:
        student: With its stages.
        teacher: With its stages.
    """
    ours, theirs = _stages_by_size(student), _stages_by_size(teacher)
    equal = [(ours[size], theirs[size]) for size in ours if size in theirs]
    return equal or [(list(ours.values())[-1], list(theirs.values())[-1])]


def _stages_by_size(activations: Activations) -> dict[tuple[int, ...], str]:
    names = sorted((name for name in activations if re.fullmatch(r"stage\.\d+", name)), key=lambda name: int(name[6:]))
    return {tuple(activations[name].shape[2:]): name for name in names}
