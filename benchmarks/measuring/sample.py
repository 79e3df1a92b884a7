"""A part of a data set, and its way from one process to another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.batches import order

SPLITS = ("train", "val", "test")


def shrink(data: Dataset, images: int) -> Dataset:
    """The data set with `images` training images, and as large a share of the others; 0 leaves it whole.

    Images are chosen by chance, but always the same; a set with fewer repeats some. It has no digest, so that nothing
    is kept of it.
    """
    if not images:
        return data
    counts = {name: max(1, round(images / len(data.train) * len(getattr(data, name)))) for name in SPLITS}
    splits = {name: _take(getattr(data, name), count) for name, count in counts.items()}
    return replace(data, **splits, digest="", split_digest="")


def _take(split: Split, count: int) -> Split:
    shuffled = order(len(split), "sample")
    return split.select(shuffled.repeat(count // len(split) + 1)[:count])


def write(data: Dataset, path: Path) -> None:
    """Writes images as uint8 `[N, 32, 32, 3]`, as PIL takes them, and all that a program needs beside them."""
    arrays = {}
    for name in SPLITS:
        split = getattr(data, name)
        arrays[f"{name}_images"] = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        arrays[f"{name}_labels"] = split.labels.numpy()
    facts = {"mean": data.mean, "std": data.std, "classes": len(data.classes), "mirrored": data.mirrored}
    np.savez(path, **arrays, **{name: np.array(value) for name, value in facts.items()})


def read(path: Path) -> Dataset:
    """The data set that `write` wrote, under no name."""
    with np.load(path) as arrays:
        splits = {
            name: Split(
                torch.from_numpy(arrays[f"{name}_images"]).permute(0, 3, 1, 2),
                torch.from_numpy(arrays[f"{name}_labels"]),
            )
            for name in SPLITS
        }
        mean, std = (tuple(arrays[name].tolist()) for name in ("mean", "std"))
        classes = tuple(map(str, range(int(arrays["classes"]))))
        mirrored = bool(arrays["mirrored"])
    return Dataset(
        "sample", "sample", **splits, classes=classes, mean=mean, std=std, mirrored=mirrored, digest="", split_digest=""
    )
