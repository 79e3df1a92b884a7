"""A teacher that stays as it is."""

from typing import Self

from torch import Tensor, nn


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
