"""Named activations of one forward pass, of any model, without changing it."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kdflow.common.errors import UsageError

LOGITS = "logits"
EMBEDDING = "embedding"


class Tapped:
    """Calls a model and gives the activations that were asked for, in float32 whatever the model computes in.

    Args:
        model: Any model from images to logits.
        names: "logits" is what the model returns; "embedding" is `[batch, features]`, what its last linear layer gets;
            any other name is a module's path, such as "features.3", and stands for what that module returns.

    Raises:
        UsageError: the model has no such module.
    """

    def __init__(self, model: nn.Module, names: Iterable[str]) -> None:
        self.model = model
        self._caught: dict[str, Tensor] = {}
        self._hooks = [self._hook(name) for name in sorted(set(names) - {LOGITS})]

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

    def _hook(self, name: str) -> RemovableHandle:
        if name == EMBEDDING:
            linear = [module for module in self.model.modules() if isinstance(module, nn.Linear)]
            if not linear:
                raise UsageError(f"{type(self.model).__name__} has no linear layer, so it has no embedding")
            return linear[-1].register_forward_pre_hook(lambda _, args: self._catch(name, args[0]))
        try:
            module = self.model.get_submodule(name)
        except AttributeError:
            raise UsageError(f"{type(self.model).__name__} has no module {name!r} to take activations from") from None
        return module.register_forward_hook(lambda _, args, output: self._catch(name, output))

    def _catch(self, name: str, activation: Tensor) -> None:
        # A copy, as the next layer may work in place.
        self._caught[name] = activation.to(torch.float32, copy=True)
