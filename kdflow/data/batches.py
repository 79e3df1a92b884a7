"""Order and augmentation of training images, as pure functions of a seed and an epoch."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kdflow.common.seeding import derive_seed
from kdflow.data.base import Split

PADDING = 4


@dataclass(frozen=True)
class Batch:
    """Labelled images that are shown together.

    Attributes:
        images: uint8 `[batch, 3, 32, 32]`, RGB.
        labels: int64 `[batch]`.
        index: int64 `[batch]`, the place of each image in its split.
    """

    images: Tensor
    labels: Tensor
    index: Tensor


@dataclass(frozen=True)
class Draws:
    """What chance decided for each of N images.

    Attributes:
        top: int64 `[N]`, row of the padded image at which the crop begins, 0 to 8.
        left: int64 `[N]`, its column.
        flip: bool `[N]`, whether the crop is mirrored.
    """

    top: Tensor
    left: Tensor
    flip: Tensor

    def select(self, indices: Tensor | slice) -> "Draws":
        """The draws of the images at int64 `[M]` indices, or of a slice of them."""
        return Draws(self.top[indices], self.left[indices], self.flip[indices])

    def to(self, device: torch.device) -> "Draws":
        """The same draws on another device."""
        return Draws(self.top.to(device), self.left.to(device), self.flip.to(device))


def draw(count: int, *stream: object, mirrored: bool) -> Draws:
    """The draws of one stream, such as (seed, epoch), for `count` images."""
    generator = torch.Generator().manual_seed(derive_seed(*stream, "augmentation"))
    offsets = torch.randint(0, 2 * PADDING + 1, (2, count), generator=generator)
    flip = torch.rand(count, generator=generator) < 0.5
    return Draws(offsets[0], offsets[1], flip & mirrored)


def order(count: int, *stream: object) -> Tensor:
    """The int64 `[count]` permutation of one stream, such as (seed, epoch)."""
    generator = torch.Generator().manual_seed(derive_seed(*stream, "order"))
    return torch.randperm(count, generator=generator)


def augment(images: Tensor, draws: Draws) -> Tensor:
    """Pads by 4 black pixels, crops to the old size and mirrors, each image by its own draw.

    Equals torchvision's `RandomCrop(32, padding=4)` followed by `RandomHorizontalFlip()` for the same draws.

    Args:
        images: uint8 `[N, 3, H, W]`.
        draws: One for each image, on the images' device.

    Returns:
        uint8 `[N, 3, H, W]`, channels last in memory.
    """
    count, _, height, width = images.shape
    padded = functional.pad(images.permute(0, 2, 3, 1), (0, 0, PADDING, PADDING, PADDING, PADDING))
    image = torch.arange(count, device=images.device)
    row = torch.arange(height, device=images.device)
    column = torch.arange(width, device=images.device)
    rows = draws.top[:, None] + row
    columns = draws.left[:, None] + torch.where(draws.flip[:, None], width - 1 - column, column)
    return padded[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def steps_per_epoch(count: int, batch_size: int) -> int:
    """How many whole batches there are; a set smaller than one batch is one batch."""
    return max(count // batch_size, 1)


def training_batches(
    split: Split, *, seed: int, epoch: int, batch_size: int, mirrored: bool, at_once: bool = False
) -> Iterator[Batch]:
    """One epoch of shuffled, freshly augmented batches; an incomplete last batch is left out.

    Args:
        split: Training images.
        seed: Of the run.
        epoch: From 1; each has its own order and draws.
        batch_size: Images a batch.
        mirrored: Whether a mirror image keeps its label.
        at_once: Augment all batches together, which does not change them: quicker on a GPU, slower on a CPU.
    """
    device = split.images.device
    used = steps_per_epoch(len(split), batch_size) * batch_size
    chosen = order(len(split), seed, epoch)[:used]
    draws = draw(len(split), seed, epoch, mirrored=mirrored).select(chosen).to(device)
    chosen = chosen.to(device)
    size = used if at_once else batch_size
    for first in range(0, used, size):
        part = slice(first, first + size)
        images = augment(split.images[chosen[part]], draws.select(part))
        yield from _cut(images, split.labels[chosen[part]], chosen[part], batch_size)


def in_order(split: Split, batch_size: int) -> Iterator[Batch]:
    """All images in their order, the last batch as it comes."""
    index = torch.arange(len(split), device=split.labels.device)
    yield from _cut(split.images, split.labels, index, batch_size)


def _cut(images: Tensor, labels: Tensor, index: Tensor, batch_size: int) -> Iterator[Batch]:
    for parts in zip(images.split(batch_size), labels.split(batch_size), index.split(batch_size), strict=True):
        yield Batch(*parts)
