"""A tiny CIFAR behind a server on this machine, and pickles and archives that do harm."""

import hashlib
import io
import os
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10, CIFAR100

from kdflow.common.errors import DataError
from kdflow.config import DataConfig
from kdflow.data.base import RawData, sources
from kdflow.data.sets import cifar
from tests.data.server import Server

NAMES = ["cat", "dog", "ship"]


def a_batch(label_key: str, count: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, label_key: [index % len(NAMES) for index in range(count)]})


def an_archive(folder: str, members: dict[str, bytes], *, link: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        if link:
            entry = tarfile.TarInfo(f"{folder}/link")
            entry.type, entry.linkname = tarfile.SYMTYPE, link
            tar.addfile(entry)
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Hostile:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.mark),))


@dataclass
class Mirror:
    """A tiny CIFAR behind a local server, and the empty folder that it is to be downloaded into."""

    server: Server
    members: dict[str, bytes]
    kind: type[CIFAR10]
    name: str
    root: Path

    def load(self) -> RawData:
        return sources[self.name](DataConfig(dataset=self.name, data_dir=str(self.root)))

    def unpacked(self, name: str) -> Path:
        return self.root / self.kind.base_folder / name

    @property
    def archive(self) -> Path:
        return self.root / self.kind.filename

    def left(self) -> list[str]:
        return sorted(path.name for path in self.root.iterdir())

    def refusal(self) -> str:
        with pytest.raises(DataError) as failure:
            self.load()
        assert failure.value.exit_code == 3
        assert "\n" not in str(failure.value)
        return str(failure.value)


def a_mirror(server: Server, monkeypatch: pytest.MonkeyPatch, root: Path, name: str) -> Mirror:
    kind, key = {"cifar10": (CIFAR10, "labels"), "cifar100": (CIFAR100, "fine_labels")}[name]
    meta = pickle.dumps({kind.meta["key"]: NAMES})
    parts = {"part_1": a_batch(key, 6, 1), "part_2": a_batch(key, 3, 2), "test_part": a_batch(key, 3, 3)}
    members = {**parts, "names": meta}
    server.body = an_archive(kind.base_folder, members)
    monkeypatch.setattr(kind, "url", server.url)
    monkeypatch.setitem(cifar.SHA256, kind.filename, sha256(server.body))
    monkeypatch.setattr(kind, "train_list", [[part, md5(members[part])] for part in ("part_1", "part_2")])
    monkeypatch.setattr(kind, "test_list", [["test_part", md5(members["test_part"])]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": "names", "md5": md5(meta)})
    return Mirror(server, members, kind, name, root)
