"""CIFAR-10 and CIFAR-100 through torchvision: downloaded once, checksums verified before anything is unpickled."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import numpy as np
import torch

from kdflow.config import DataConfig
from kdflow.data.base import RawData, Split, sources
from kdflow.errors import DataError

if TYPE_CHECKING:  # importing torchvision takes a second, which only its users should pay
    from torchvision.datasets import CIFAR10

PATIENCE = 60.0
"""Seconds without a byte after which a download is given up."""


@sources.register("cifar10")
def cifar10(config: DataConfig) -> RawData:
    """50,000 training and 10,000 test photographs of ten classes; a download of 170 MB.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    from torchvision.datasets import CIFAR10

    return _fetch(CIFAR10, config)


@sources.register("cifar100")
def cifar100(config: DataConfig) -> RawData:
    """50,000 training and 10,000 test photographs of a hundred classes (the fine labels); a download of 169 MB.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    from torchvision.datasets import CIFAR100

    return _fetch(CIFAR100, config)


def _fetch(kind: "type[CIFAR10]", config: DataConfig) -> RawData:
    otherwise = "or use --dataset digits or a folder of images"
    try:
        with _patience():
            train = kind(config.data_dir, train=True, download=True)
        test = kind(config.data_dir, train=False)
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise DataError(
            f"{kind.__name__} cannot be fetched from {kind.url} into --data-dir {config.data_dir}: {error}; "
            f"put {kind.filename} there by hand, {otherwise}"
        ) from error
    except RuntimeError as error:
        raise DataError(f"{_damage(kind, config) or error}, {otherwise}") from error
    return RawData(_split(train), _split(test), tuple(train.classes))


def _split(part: "CIFAR10") -> Split:
    images = torch.from_numpy(np.ascontiguousarray(part.data)).permute(0, 3, 1, 2)
    return Split(images, torch.tensor(part.targets, dtype=torch.int64))


def _damage(kind: "type[CIFAR10]", config: DataConfig) -> str:
    """Which file torchvision refused, with both checksums, and what to do; torchvision says only that there is one."""
    from torchvision.datasets.utils import calculate_md5

    archive = Path(config.data_dir).expanduser() / kind.filename
    folder = archive.parent / kind.base_folder
    members = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    for path, expected in [(archive, kind.tgz_md5), *((folder / name, md5) for name, md5 in members)]:
        found = calculate_md5(path) if path.is_file() else "missing"
        if found != expected and (path != archive or path.is_file()):
            # torchvision unpacks again when a batch is damaged, but not when the names are: the whole folder has to go.
            remedy = f"delete {archive if path == archive else folder} and run again"
            return f"{path} is incomplete or altered (md5 {found}, expected {expected}): {remedy}"
    return ""


@contextmanager
def _patience() -> Iterator[None]:
    """torchvision sets no time limit of its own, so a silent server would hold the run for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
