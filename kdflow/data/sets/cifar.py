"""CIFAR-10 and CIFAR-100 through torchvision: downloaded once, checksums verified before anything is unpickled."""

import errno
import os
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from kdflow.common.errors import DataError
from kdflow.common.files import sha256, unwritable
from kdflow.config import DataConfig
from kdflow.data.base import RawData, Split, sources
from kdflow.data.sets.download import download, workplace

if TYPE_CHECKING:  # importing torchvision takes a second, which only its users should pay
    from torchvision.datasets import CIFAR10

SHA256 = {
    "cifar-10-python.tar.gz": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar-100-python.tar.gz": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}
"""Of the archives, as Keras has them too; torchvision knows their MD5 only, and that of each file in them."""
ROOM = 360 << 20
"""Bytes of an archive and of what is in it."""


@sources.register("cifar10")
def cifar10(config: DataConfig) -> RawData:
    """50,000 training and 10,000 test photographs of ten classes; a download of 170 MB.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    from torchvision.datasets import CIFAR10

    return _load(CIFAR10, config)


@sources.register("cifar100")
def cifar100(config: DataConfig) -> RawData:
    """50,000 training and 10,000 test photographs of a hundred classes (the fine labels); a download of 169 MB.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009.
    """
    from torchvision.datasets import CIFAR100

    return _load(CIFAR100, config)


def _load(kind: "type[CIFAR10]", config: DataConfig) -> RawData:
    root, damage = Path(config.data_dir).expanduser(), ""
    try:
        if damage := _damage(kind, root / kind.base_folder):
            _fetch(kind, root)
        train, test = kind(root, train=True), kind(root, train=False)
    except (DataError, OSError, RuntimeError) as error:  # a RuntimeError is torchvision's word for altered files
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise unwritable(root, error, needed=ROOM) from error
        raise DataError(
            f"{kind.__name__} cannot be read from --data-dir {root}: {damage and f'{damage}, and '}{error}; "
            f"put {kind.filename} there by hand, or use --dataset digits or a folder of images"
        ) from error
    return RawData(_split(train), _split(test), tuple(train.classes))


def _split(part: "CIFAR10") -> Split:
    images = torch.from_numpy(np.ascontiguousarray(part.data)).permute(0, 3, 1, 2)
    return Split(images, torch.tensor(part.targets, dtype=torch.int64))


def _damage(kind: "type[CIFAR10]", folder: Path) -> str:
    """The first file of an unpacked archive that is missing or altered, in words; empty if there is none."""
    from torchvision.datasets.utils import calculate_md5

    for name, expected in _members(kind):
        path = folder / name
        if not path.is_file():
            return f"{path} is missing"
        if (found := calculate_md5(path)) != expected:
            return f"{path} is incomplete or altered (md5 {found}, expected {expected})"
    return ""


def _members(kind: "type[CIFAR10]") -> list[tuple[str, str]]:
    """Name and MD5 of every file that torchvision reads."""
    lists = (*kind.train_list, *kind.test_list, (kind.meta["filename"], kind.meta["md5"]))
    return [(name, md5) for name, md5 in lists]


def _fetch(kind: "type[CIFAR10]", root: Path) -> None:
    """Downloads the archive if it is not there whole, and unpacks it; one process does, the others wait for it."""
    archive = root / kind.filename
    with workplace(archive) as private:
        if not _damage(kind, root / kind.base_folder):
            return
        _provide(kind, archive, private)
        _unpack(kind, archive, private)


def _provide(kind: "type[CIFAR10]", archive: Path, private: Path) -> None:
    expected = SHA256[kind.filename]
    found = sha256(archive) if archive.is_file() else ""
    if found == expected:
        return
    try:
        download(kind.url, private / archive.name, expected=expected)
    except DataError as error:
        if not found:
            raise
        raise DataError(
            f"{archive} is incomplete or altered (sha256 {found}, expected {expected}), and {error}"
        ) from error
    os.replace(private / archive.name, archive)


def _unpack(kind: "type[CIFAR10]", archive: Path, private: Path) -> None:
    """Unpacks into a private folder; only files of known content leave it, each at once or not at all."""
    from torchvision.datasets.utils import extract_archive

    try:
        extract_archive(archive, private)
    except tarfile.TarError as error:  # such as a member that would go elsewhere
        raise DataError(f"{archive} cannot be unpacked: {error}") from error
    unpacked, folder = private / kind.base_folder, archive.parent / kind.base_folder
    if damage := _damage(kind, unpacked):
        raise DataError(damage)
    folder.mkdir(exist_ok=True)
    for name, _ in _members(kind):
        os.replace(unpacked / name, folder / name)
