"""A folder's images, decoded once: from the second run on they are mapped from the cache."""

import json
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from kdflow.common import cache
from kdflow.common.files import sha256
from kdflow.data.base import RawData, Split
from kdflow.data.folder import read_folder
from kdflow.data.images import DECODING

INPUTS = ("*.parquet", "train/*", "test/*", "train/*/*", "test/*/*")


def read_decoded(folder: Path, *, resize: bool) -> RawData:
    """What `read_folder` gives, taken from the cache if the same files have been decoded before.

    Args:
        folder: In one of the layouts of `read_folder`.
        resize: Scale every image to 32x32.

    Raises:
        DataError: as `read_folder` does.
    """
    try:
        name = cache.key("images", DECODING, PIL.__version__, resize, _contents(folder))
    except OSError:
        return read_folder(folder, resize=resize)  # which says what cannot be read
    kept = cache.load(name)
    if kept is None:
        raw = read_folder(folder, resize=resize)
        cache.save(name, _pack(raw))
        return raw
    return _unpack(kept)


def _contents(folder: Path) -> list[tuple[str, str]]:
    """Name and SHA-256 of each file that `read_folder` would look at; folders by name alone."""
    paths = sorted(path for pattern in INPUTS for path in folder.glob(pattern))
    return [(str(path.relative_to(folder)), "" if path.is_dir() else sha256(path)) for path in paths]


def _pack(raw: RawData) -> dict[str, Tensor]:
    return {
        "train_images": raw.train.images.permute(0, 2, 3, 1).contiguous(),
        "train_labels": raw.train.labels,
        "test_images": raw.test.images.permute(0, 2, 3, 1).contiguous(),
        "test_labels": raw.test.labels,
        "classes": torch.from_numpy(np.frombuffer(json.dumps(raw.classes).encode(), np.uint8).copy()),
    }


def _unpack(kept: dict[str, Tensor]) -> RawData:
    train, test = (
        Split(kept[f"{part}_images"].permute(0, 3, 1, 2), kept[f"{part}_labels"]) for part in ("train", "test")
    )
    return RawData(train, test, tuple(json.loads(kept["classes"].numpy().tobytes())))
