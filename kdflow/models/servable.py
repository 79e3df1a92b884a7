"""A model as it is evaluated and registered: raw images in, probabilities out."""

import copy

import torch
from torch import Tensor, nn


class Normalised(nn.Module):
    """Scales raw pixels to [0, 1] and normalises them per channel.

    Args:
        mean: Per channel, of images in [0, 1].
        std: Per channel, of images in [0, 1].
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 `[batch, 3, H, W]` to float32 of the same shape."""
        return (images.float() / 255 - self.mean) / self.std


class Servable(nn.Module):
    """Normalisation, network and softmax in one, in eval mode, on a copy of the weights in float32 on the CPU.

    Args:
        model: From normalised images to logits.
        mean: Per channel, of images in [0, 1].
        std: Per channel, of images in [0, 1].
    """

    def __init__(self, model: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.normalise = Normalised(mean, std)
        self.model = copy.deepcopy(model).cpu().to(memory_format=torch.contiguous_format)
        self.requires_grad_(False)
        self.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Raw uint8 `[batch, 32, 32, 3]` to class probabilities `[batch, classes]`."""
        return self.model(self.normalise(images.permute(0, 3, 1, 2))).softmax(1)
