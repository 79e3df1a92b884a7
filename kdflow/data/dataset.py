"""Data sets by name: images in memory, split once, identified by digest."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from kdflow.common.console import warn
from kdflow.common.errors import DataError, UsageError
from kdflow.config import DataConfig
from kdflow.data.base import RawData, Split, sources
from kdflow.data.batches import augment, draw
from kdflow.data.decoded import read_decoded
from kdflow.data.names import listed, spelled_name

LONGEST_LABEL = 100
"""Letters of a folder's name in that of its registered models: MLflow takes 256, a file system's name may be longer."""


@dataclass(frozen=True)
class Dataset:
    """A data set ready for training.

    Attributes:
        name: Short name, under which its runs go.
        source: What the user called it: a name or a folder.
        train: Training images.
        val: Held-out part of the official training images, as drawn once.
        clean_val: The same images as they are; for what is fitted on them after training.
        val_index: int64 `[N]`, the place of each of them among the official training images.
        test: Official test images; for the final evaluation only.
        classes: Class names.
        mean: Per channel, of the training images scaled to [0, 1].
        std: Per channel, of the training images scaled to [0, 1].
        mirrored: Whether a mirror image keeps its label.
        digest: Identifies all images and labels, before the split.
        split_digest: Identifies which images validate, and how they are drawn.
        validation: What was done to validation images, such as "cropped and mirrored"; empty if nothing was.
    """

    name: str
    source: str
    train: Split
    val: Split
    clean_val: Split
    val_index: Tensor
    test: Split
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    mirrored: bool
    digest: str
    split_digest: str
    validation: str = ""

    @property
    def label(self) -> str:
        """What its models are registered under: its name; of a folder, a hash of name and classes is added.

        Folders of one name may hold anything, and names that differ may look alike in the letters that stay.
        """
        if self.source in sources:
            return self.name
        told = "\0".join((self.name, *self.classes)).encode(errors="surrogateescape")
        letters = "".join(letter if letter.isalnum() else "-" for letter in self.name).strip("-").lower()
        return f"{letters[:LONGEST_LABEL]}-{hashlib.sha256(told).hexdigest()[:8]}".strip("-")


def load(config: DataConfig) -> Dataset:
    """Reads and splits a data set.

    Raises:
        UsageError: there is no data set of that name.
        DataError: it is missing, damaged, or too small to split.
    """
    raw = _read(config)
    _tell_untested(raw)
    train_indices, val_indices = split_indices(raw.train.labels, config, raw.classes)
    train, clean_val = raw.train.select(train_indices), raw.train.select(val_indices)
    mirrored = raw.mirrored and config.flip
    val = clean_val
    if config.augment_val:
        val = Split(augment(val.images, draw(len(val), config.split_seed, "val", mirrored=mirrored)), val.labels)
    mean, std = channel_statistics(train.images)
    drawn = f"augmented, seed {config.split_seed}, mirrored {mirrored}" if config.augment_val else "clean"
    split_digest = hashlib.sha256(val_indices.numpy().tobytes() + drawn.encode()).hexdigest()[:32]
    return Dataset(
        short_name(config.dataset),
        config.dataset,
        train,
        val,
        clean_val,
        val_indices,
        raw.test,
        raw.classes,
        mean,
        std,
        mirrored,
        raw.digest(),
        split_digest,
        _validation(augmented=config.augment_val, mirrored=mirrored),
    )


def _validation(*, augmented: bool, mirrored: bool) -> str:
    return ("cropped and mirrored" if mirrored else "cropped") if augmented else ""


def split_indices(labels: Tensor, config: DataConfig, classes: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Stratified split of the official training images into training and validation.

    Args:
        labels: int64 `[N]`.
        config: Fraction and seed.
        classes: Their names, for messages.

    Returns:
        Sorted int64 indices `[N - M]` and `[M]` of training and validation images.

    Raises:
        DataError: a class has too few images to be in both.
    """
    from sklearn.model_selection import train_test_split  # takes a second, which only those who split should pay

    try:
        train, val = train_test_split(
            torch.arange(len(labels)).numpy(),
            test_size=config.val_fraction,
            stratify=labels.numpy(),
            random_state=config.split_seed,
        )
    except ValueError:  # there are fewer training or validation images than classes, or one image of a class
        raise _too_few(labels, config, classes, labels.unique().tolist()) from None
    for part in (train, val):
        if absent := set(labels.tolist()) - set(labels[part].tolist()):
            raise _too_few(labels, config, classes, absent)
    return torch.from_numpy(train).sort().values, torch.from_numpy(val).sort().values


def _too_few(labels: Tensor, config: DataConfig, classes: Sequence[str], among: Iterable[int]) -> DataError:
    """Names the smallest of some classes, and the fraction with which all of them can be split."""
    counts = labels.bincount().tolist()
    label = min(among, key=lambda label: (counts[label], label))
    enough = math.ceil(100 / min(count for count in counts if count)) / 100
    remedy = f"set --val-fraction to {enough:g}" if config.val_fraction < enough <= 0.5 else "leave the class out"
    return DataError(
        f"class {classes[label]} has {counts[label]} of {len(labels)} training images, too few to be in both training "
        f"and validation at --val-fraction {config.val_fraction:g}: add some, or {remedy}"
    )


def _tell_untested(raw: RawData) -> None:
    """Says which classes the test accuracy says nothing about."""
    tested = set(raw.test.labels.unique().tolist())
    if untested := [name for label, name in enumerate(raw.classes) if label not in tested]:
        warn(f"the test part has no images of {listed(untested)}: its accuracy says nothing about them")


def channel_statistics(images: Tensor) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and standard deviation per channel of uint8 `[N, 3, H, W]`, scaled to [0, 1]."""
    counts = torch.stack([torch.bincount(images[:, channel].flatten(), minlength=256) for channel in range(3)]).double()
    levels = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ levels
    std = (share @ levels**2 - mean**2).clamp_min(0).sqrt().clamp_min(1 / 255)
    return tuple(mean.tolist()), tuple(std.tolist())


def require_known(config: DataConfig) -> None:
    """Makes sure that a data set has a name that there is, or a folder.

    Raises:
        UsageError: there is neither.
        DataError: there is no such folder.
    """
    folder = _path(config.dataset)
    if _is_folder(config.dataset):
        if not folder.is_dir():
            raise DataError(f"there is no folder {folder.absolute()}: give --dataset an existing one")
    elif config.dataset not in sources:
        try:
            sources[config.dataset]
        except UsageError as error:
            raise UsageError(f"--dataset: {error}, or a folder: there is none at {folder.absolute()}") from None


def short_name(dataset: str) -> str:
    """The name under which a data set's runs go: its own, or the name of its folder."""
    return spelled_name(_path(dataset).resolve()) if _is_folder(dataset) else dataset


def lasting_name(dataset: str) -> str:
    """What a data set is called from everywhere: its own name, or the whole path of its folder."""
    return str(_path(dataset).resolve()) if _is_folder(dataset) else dataset


def _is_folder(dataset: str) -> bool:
    return dataset not in sources and (_path(dataset).is_dir() or "/" in dataset)


def _path(dataset: str) -> Path:
    try:
        return Path(dataset).expanduser()
    except RuntimeError as error:
        raise DataError(f"--dataset {dataset}: {error}") from None


def _read(config: DataConfig) -> RawData:
    if _is_folder(config.dataset):
        return read_decoded(_path(config.dataset), resize=config.resize)
    return sources[config.dataset](config)
