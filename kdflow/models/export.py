"""A model as it is evaluated and registered: raw images in, probabilities out."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from kdflow.common.errors import KdflowError
from kdflow.data.base import IMAGE_SIZE

FLOATS = "give raw pixels as whole numbers from 0 to 255 (uint8); floats, such as pixels scaled to 0..1, are refused"
OUT_OF_RANGE = "give raw pixels: whole numbers from 0 to 255"
TOLERANCE = 1e-5
BATCHES = (1, 2, 7)
"""Numbers of images for which an exported model must give the probabilities of the model itself."""


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


class Probabilities(nn.Module):
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
        """Raw pixels, uint8 `[batch, 32, 32, 3]`, to class probabilities, float32 `[batch, classes]`."""
        return self.logits(images).softmax(1)

    def logits(self, images: Tensor) -> Tensor:
        """The same before the softmax."""
        # A cast would be exported together with a check that the type is uint8; a server gives int64.
        pixels = 1.0 * images.permute(0, 3, 1, 2)
        return self.model(self.normalise(pixels))


class Servable(Probabilities):
    """The same where nothing else sees to it that images are raw: it refuses all others itself."""

    def forward(self, images_N_32_32_3_with_batch_axis: Tensor) -> Tensor:
        """Raw pixels `[batch, 32, 32, 3]`, uint8 or other whole numbers, to class probabilities `[batch, classes]`.

        An exported program says of a wrong shape no more than this argument's name, and keeps the checks of its values.
        """
        images = images_N_32_32_3_with_batch_axis
        _require((torch.full_like(images[:1], 0.5) == 0).all(), FLOATS)  # whole numbers cannot hold a half
        _require(((images >= 0) & (images <= 255)).all(), OUT_OF_RANGE)
        return super().forward(images)


def _require(holds: Tensor, otherwise: str) -> None:
    """Raises a RuntimeError that says so unless a boolean tensor holds, in an exported program too."""
    torch.ops.aten._assert_async.msg(holds, otherwise)


def example(count: int = 2) -> Tensor:
    """Raw images uint8 `[count, 32, 32, 3]` of random pixels, always the same."""
    size = (count, IMAGE_SIZE, IMAGE_SIZE, 3)
    return torch.randint(256, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def require_equal(exported: Callable[[Tensor], Tensor], model: Probabilities) -> None:
    """Makes sure that what a model was exported to gives the model's own probabilities.

    Raises:
        KdflowError: it gives others.
    """
    for count in BATCHES:
        images = example(count)
        difference = float((exported(images) - model(images)).abs().max())
        if not difference <= TOLERANCE:
            raise KdflowError(f"the exported program gives other probabilities than the model, by {difference:.1g}")
