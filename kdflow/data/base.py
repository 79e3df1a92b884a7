"""What a data set is: labelled images in memory, their classes, their split and the digests that identify them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.common.errors import DataError
from kdflow.common.registry import Registry
from kdflow.config import DataConfig

IMAGE_SIZE = 32


@dataclass(frozen=True)
class Split:
    """Labelled images.

    Attributes:
        images: uint8 `[N, 3, 32, 32]`, RGB.
        labels: int64 `[N]`, each from 0 to the number of classes - 1.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, indices: Tensor) -> "Split":
        """The images and labels at int64 `[M]` indices."""
        return Split(self.images[indices], self.labels[indices])

    def to(self, device: torch.device) -> "Split":
        """The same images on another device."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class RawData:
    """What a source delivers: the official training and test images, before the validation split.

    Attributes:
        train: Official training images.
        test: Official test images.
        classes: Class names; a label is an index into them.
        mirrored: Whether a mirror image keeps its label (a cat does, a digit does not).

    Raises:
        DataError: images or labels are not what `Split` and `classes` say, or leave nothing to tell apart.
    """

    train: Split
    test: Split
    classes: tuple[str, ...]
    mirrored: bool = True

    def __post_init__(self) -> None:
        for name, split in (("train", self.train), ("test", self.test)):
            _check(name, split, len(self.classes))
        if len(self.train.labels.unique()) < 2:
            name = self.classes[int(self.train.labels[0])]
            raise DataError(f"all training images are of one class, {name}: expected two or more to tell apart")

    def digest(self) -> str:
        """128 bits, as hex, of SHA-256 over every pixel, label and class name."""
        sha = hashlib.sha256("\0".join(self.classes).encode())
        for split in (self.train, self.test):
            sha.update(split.images.contiguous().numpy().data)
            sha.update(split.labels.numpy().data)
        return sha.hexdigest()[:32]


sources: Registry[Callable[[DataConfig], RawData]] = Registry("data set")


def _check(name: str, split: Split, classes: int) -> None:
    images, labels = split.images, split.labels
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise DataError(f"{name} labels: expected int64 [N], got {_kind(labels)}")
    shape = (len(labels), 3, IMAGE_SIZE, IMAGE_SIZE)
    if images.dtype != torch.uint8 or tuple(images.shape) != shape:
        raise DataError(f"{name} images: expected uint8 {list(shape)}, got {_kind(images)}")
    if len(labels) == 0:
        raise DataError(f"{name} has no images")
    outside = ((labels < 0) | (labels >= classes)).nonzero()
    if len(outside):
        first = int(outside[0])
        raise DataError(f"{name} label {int(labels[first])} at image {first}: expected 0 to {classes - 1}")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
