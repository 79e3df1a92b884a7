"""What a download can do to a user, against a local server: no test here reaches a network.

Not covered: the real archives, and two processes that download into one folder at the same time.
"""

import hashlib
import io
import os
import pickle
import socket
import tarfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10, CIFAR100

from kdflow.config import DataConfig
from kdflow.data import cifar
from kdflow.data.base import RawData, sources
from kdflow.errors import DataError

NAMES = ["cat", "dog", "ship"]


def a_batch(label_key: str, count: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)
    return pickle.dumps({"data": pixels, label_key: [index % len(NAMES) for index in range(count)]})


def an_archive(folder: str, members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class Hostile:
    """A pickle that leaves a file behind when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.mark),))


@dataclass
class Server:
    """Serves one body; `fault` says what goes wrong with it."""

    body: bytes
    url: str = ""
    fault: str = ""
    requests: int = 0


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

    def refusal(self) -> str:
        with pytest.raises(DataError) as failure:
            self.load()
        assert failure.value.exit_code == 3
        assert "\n" not in str(failure.value)
        return str(failure.value)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server(b"")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests += 1
            self.send_response(404 if state.fault == "missing" else 200)
            self.send_header("Content-Length", str(len(state.body)))
            self.end_headers()
            half = state.fault in ("broken off", "silent")
            self.wfile.write(state.body[: len(state.body) // 2] if half else state.body)
            if state.fault == "silent":
                self.wfile.flush()
                time.sleep(1)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{http.server_address[1]}/archive.tar.gz"
    thread = threading.Thread(target=http.serve_forever, args=(0.01,))
    thread.start()
    yield state
    http.shutdown()
    thread.join()
    http.server_close()


def a_mirror(server: Server, monkeypatch: pytest.MonkeyPatch, root: Path, name: str) -> Mirror:
    kind, key = {"cifar10": (CIFAR10, "labels"), "cifar100": (CIFAR100, "fine_labels")}[name]
    meta = pickle.dumps({kind.meta["key"]: NAMES})
    parts = {"part_1": a_batch(key, 6, 1), "part_2": a_batch(key, 3, 2), "test_part": a_batch(key, 3, 3)}
    members = {**parts, "names": meta}
    server.body = an_archive(kind.base_folder, members)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(kind, "url", server.url)
    monkeypatch.setattr(kind, "tgz_md5", md5(server.body))
    monkeypatch.setattr(kind, "train_list", [[part, md5(members[part])] for part in ("part_1", "part_2")])
    monkeypatch.setattr(kind, "test_list", [["test_part", md5(members["test_part"])]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "filename": "names", "md5": md5(meta)})
    return Mirror(server, members, kind, name, root)


@pytest.fixture
def mirror(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Mirror:
    return a_mirror(server, monkeypatch, tmp_path / "data", "cifar10")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_images_labels_and_names_are_those_of_the_archive(
    name: str, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mirror = a_mirror(server, monkeypatch, tmp_path, name)
    raw = mirror.load()
    batches = [pickle.loads(mirror.members[part])["data"] for part in ("part_1", "part_2")]
    assert torch.equal(raw.train.images, torch.from_numpy(np.concatenate(batches)).view(9, 3, 32, 32))
    assert raw.train.images.is_contiguous(memory_format=torch.channels_last)
    assert raw.train.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert (len(raw.test), raw.classes, raw.mirrored) == (3, tuple(NAMES), True)


def test_a_second_use_needs_no_server(mirror: Mirror) -> None:
    first = mirror.load()
    seen = mirror.server.requests
    assert mirror.load().digest() == first.digest()
    assert mirror.server.requests == seen


def test_an_archive_put_there_by_hand_needs_no_server(mirror: Mirror) -> None:
    mirror.root.mkdir()
    (mirror.root / mirror.kind.filename).write_bytes(mirror.server.body)
    assert len(mirror.load().train) == 9
    assert mirror.server.requests == 0


def test_a_download_shows_its_progress(mirror: Mirror, capsys: pytest.CaptureFixture[str]) -> None:
    mirror.load()
    assert "100" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["broken off", "silent"])
def test_an_interrupted_download_is_one_line_and_the_next_call_succeeds(
    fault: str, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cifar, "PATIENCE", 0.2)
    mirror.server.fault = fault
    assert mirror.kind.filename in mirror.refusal()
    assert not mirror.unpacked("part_1").exists()
    assert socket.getdefaulttimeout() is None
    mirror.server.fault = ""
    assert len(mirror.load().train) == 9


def test_a_wrong_checksum_names_the_file_both_sums_and_the_remedy(mirror: Mirror) -> None:
    expected = mirror.kind.tgz_md5
    mirror.server.body = an_archive(mirror.kind.base_folder, {"part_1": b"altered"})
    message = mirror.refusal()
    for part in (mirror.kind.filename, expected, md5(mirror.server.body), "delete", "run again", "--dataset digits"):
        assert part in message
    assert not mirror.unpacked("part_1").exists()


@pytest.mark.parametrize("name", ["part_1", "part_2", "test_part", "names"])
def test_a_hostile_pickle_in_the_folder_is_never_run(name: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.load()
    (mirror.root / mirror.kind.filename).unlink()
    mirror.server.fault = "missing"
    mirror.unpacked(name).write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    mirror.refusal()
    assert not (tmp_path / "ran").exists()
    pickle.loads(mirror.unpacked(name).read_bytes())
    assert (tmp_path / "ran").exists(), "the pickle was not hostile at all"


@pytest.mark.parametrize("name", ["part_1", "test_part"])
def test_a_damaged_batch_is_unpacked_again_from_the_archive(name: str, mirror: Mirror) -> None:
    first = mirror.load()
    mirror.unpacked(name).write_bytes(b"damaged")
    mirror.server.fault = "missing"
    assert mirror.load().digest() == first.digest()


def test_damaged_class_names_are_told_with_a_remedy_that_works(mirror: Mirror) -> None:
    first = mirror.load()
    mirror.unpacked("names").write_bytes(b"damaged")
    message = mirror.refusal()
    assert f"{mirror.unpacked('names')} is incomplete or altered" in message
    assert f"delete {mirror.unpacked('names').parent} and run again" in message
    for file in mirror.unpacked("names").parent.iterdir():
        file.unlink()
    assert mirror.load().digest() == first.digest()


def test_an_archive_that_unpacks_to_other_files_is_refused_before_they_are_read(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = pickle.dumps(Hostile(tmp_path / "ran"))
    mirror.server.body = an_archive(mirror.kind.base_folder, {**mirror.members, "part_1": hostile})
    monkeypatch.setattr(mirror.kind, "tgz_md5", md5(mirror.server.body))
    assert md5(hostile) in mirror.refusal()
    assert not (tmp_path / "ran").exists()


def test_an_unreachable_server_is_one_line_with_the_ways_out(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/archive.tar.gz"
    monkeypatch.setattr(mirror.kind, "url", url)
    message = mirror.refusal()
    for part in (url, "--data-dir", mirror.kind.filename, "--dataset digits", "folder"):
        assert part in message


def test_a_missing_archive_on_the_server_is_one_line(mirror: Mirror) -> None:
    mirror.server.fault = "missing"
    assert "404" in mirror.refusal()


def test_a_data_dir_that_is_a_file_is_one_line(mirror: Mirror) -> None:
    mirror.root.write_text("in the way")
    assert f"--data-dir {mirror.root}" in mirror.refusal()
