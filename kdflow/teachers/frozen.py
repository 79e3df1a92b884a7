"""A trained network that teaches and stays as it is."""

from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Self

import torch
from torch import Tensor, nn

from kdflow.common import cache
from kdflow.device.runtime import Runtime
from kdflow.models.features import Activations, Tapped
from kdflow.teachers.base import Teach


class Frozen(nn.Module):
    """A model in eval mode without gradients, whatever `.train()` is called on it or above it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode."""
        return super().train(False)

    def forward(self, images: Tensor) -> Tensor:
        """Float `[batch, 3, 32, 32]` to logits `[batch, classes]`."""
        return self.model(images)

    @contextmanager
    def teaching(self, taps: Collection[str], runtime: Runtime) -> Iterator[Teach]:
        """See `kdflow.teachers.base.Teacher`; each image is seen by itself, whatever its label or index."""
        with closing(Tapped(runtime.place(self).model, taps)) as tapped:

            @torch.no_grad()
            def teach(images: Tensor, labels: Tensor, index: Tensor) -> Activations:
                with runtime.autocast():
                    return tapped(images)

            yield teach

    def fingerprint(self) -> str:
        """Of its architecture and of every weight."""
        return cache.key(str(self), cache.fingerprint(self.state_dict()))
