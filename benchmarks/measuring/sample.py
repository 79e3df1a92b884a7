"""A part of a data set, and its way from one process to another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

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
    splits: dict[str, Any] = {name: _take(getattr(data, name), count) for name, count in counts.items()}
    return replace(data, **splits, digest="", split_digest="")


def _take(split: Split, count: int) -> Split:
    shuffled = order(len(split), "sample")
    return split.select(shuffled.repeat(count // len(split) + 1)[:count])


def write(data: Dataset, path: Path) -> None:
    """Writes the images and all that a program needs beside them."""
    arrays: dict[str, Any] = {"mean": data.mean, "std": data.std, "mirrored": data.mirrored}
    for name in SPLITS:
        split = getattr(data, name)
        arrays |= {f"{name}_images": split.images.numpy(), f"{name}_labels": split.labels.numpy()}
    np.savez(path, **arrays, classes=len(data.classes))


def read(path: Path) -> Dataset:
    """The data set that `write` wrote, under no name."""
    with np.load(path) as arrays:
        tensors = {name: torch.from_numpy(arrays[name]) for name in arrays if name.endswith(("_images", "_labels"))}
        splits: dict[str, Any] = {name: Split(tensors[f"{name}_images"], tensors[f"{name}_labels"]) for name in SPLITS}
        mean, std = (tuple(arrays[name].tolist()) for name in ("mean", "std"))
        classes = tuple(map(str, range(int(arrays["classes"]))))
        mirrored = bool(arrays["mirrored"])
    kept = {"clean_val": splits["val"], "val_index": torch.arange(len(splits["val"]))}
    facts: dict[str, Any] = {"mirrored": mirrored, "digest": "", "split_digest": ""}
    return Dataset("sample", "sample", **splits, **kept, classes=classes, mean=mean, std=std, **facts)
