"""CIFAR from a local server: what is downloaded, verified, unpacked and unpickled, and what never is.

How a download goes on after it broke off is `test_download`'s. Not covered: the real archives.
"""

import errno
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from kdflow.common.errors import KdflowError
from kdflow.data.sets import cifar
from tests.data.mirror import NAMES, Hostile, Mirror, a_mirror, an_archive, md5, sha256
from tests.data.server import Server


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
    assert mirror.load().digest() == first.digest()
    assert mirror.server.asked == [""]


def test_an_archive_put_there_by_hand_needs_no_server(mirror: Mirror) -> None:
    mirror.root.mkdir()
    mirror.archive.write_bytes(mirror.server.body)
    assert len(mirror.load().train) == 9
    assert mirror.server.asked == []


def test_a_download_that_breaks_off_is_continued(mirror: Mirror) -> None:
    mirror.server.faults = ["broken off"]
    assert len(mirror.load().train) == 9


def test_a_download_that_fails_leaves_nothing_and_the_next_command_succeeds(mirror: Mirror) -> None:
    mirror.server.ranges, mirror.server.fault = False, "broken off"
    message = mirror.refusal()
    for part in (mirror.server.url, f"--data-dir {mirror.root}", mirror.kind.filename, "--dataset digits", "folder"):
        assert part in message
    assert mirror.left() == [f".{mirror.kind.filename}.lock"]
    mirror.server.fault = ""
    assert len(mirror.load().train) == 9


def test_a_wrong_checksum_names_both_sums_and_nothing_is_kept_or_unpacked(mirror: Mirror) -> None:
    expected = sha256(mirror.server.body)
    mirror.server.body = an_archive(mirror.kind.base_folder, {"part_1": b"altered"})
    message = mirror.refusal()
    for part in (mirror.kind.filename, expected, sha256(mirror.server.body), "--dataset digits"):
        assert part in message
    assert mirror.left() == [f".{mirror.kind.filename}.lock"]


def test_a_truncated_archive_is_downloaded_again(mirror: Mirror) -> None:
    mirror.root.mkdir()
    mirror.archive.write_bytes(mirror.server.body[:100])
    assert len(mirror.load().train) == 9
    assert mirror.archive.read_bytes() == mirror.server.body


def test_a_truncated_archive_is_named_with_both_sums_where_there_is_no_server(mirror: Mirror) -> None:
    mirror.root.mkdir()
    mirror.archive.write_bytes(mirror.server.body[:100])
    mirror.server.fault = "missing"
    message = mirror.refusal()
    for part in (str(mirror.archive), sha256(mirror.server.body), sha256(mirror.server.body[:100]), "404"):
        assert part in message
    assert mirror.archive.read_bytes() == mirror.server.body[:100], "what a user put there is not taken away"


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("link", ["", "/etc/passwd", "../../../outside"])
def test_an_archive_reaches_nowhere_else_whether_its_checksum_is_known_or_not(
    link: str, known: bool, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = mirror.members if link else {**mirror.members, "../../../outside": b"hostile"}
    mirror.server.body = an_archive(mirror.kind.base_folder, members, link=link)
    if known:
        monkeypatch.setitem(cifar.SHA256, mirror.kind.filename, sha256(mirror.server.body))
    assert ("cannot be unpacked" if known else "something else") in mirror.refusal()
    assert not list(mirror.root.parent.rglob("outside"))
    assert not mirror.unpacked("part_1").parent.exists()


def test_what_else_is_in_an_archive_stays_out_of_the_folder(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror.server.body = an_archive(mirror.kind.base_folder, {**mirror.members, "more": b"stranger"})
    monkeypatch.setitem(cifar.SHA256, mirror.kind.filename, sha256(mirror.server.body))
    mirror.load()
    assert sorted(file.name for file in mirror.unpacked("part_1").parent.iterdir()) == sorted(mirror.members)


@pytest.mark.parametrize("name", ["part_1", "part_2", "test_part", "names"])
def test_a_hostile_pickle_in_the_folder_is_never_run(name: str, mirror: Mirror, tmp_path: Path) -> None:
    mirror.load()
    mirror.archive.unlink()
    mirror.server.fault = "missing"
    hostile = pickle.dumps(Hostile(tmp_path / "ran"))
    mirror.unpacked(name).write_bytes(hostile)
    message = mirror.refusal()
    for part in (f"{mirror.unpacked(name)} is incomplete or altered", md5(hostile), md5(mirror.members[name])):
        assert part in message
    assert not (tmp_path / "ran").exists()
    pickle.loads(hostile)
    assert (tmp_path / "ran").exists(), "the pickle was not hostile at all"


@pytest.mark.parametrize("name", ["part_1", "test_part", "names"])
def test_a_damaged_file_is_unpacked_again_from_the_archive(name: str, mirror: Mirror) -> None:
    first = mirror.load()
    mirror.unpacked(name).write_bytes(b"damaged")
    mirror.server.fault = "missing"
    assert mirror.load().digest() == first.digest()


def test_an_archive_that_unpacks_to_other_files_is_refused_before_they_are_read(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hostile = pickle.dumps(Hostile(tmp_path / "ran"))
    mirror.server.body = an_archive(mirror.kind.base_folder, {**mirror.members, "part_1": hostile})
    monkeypatch.setitem(cifar.SHA256, mirror.kind.filename, sha256(mirror.server.body))
    assert md5(hostile) in mirror.refusal()
    assert not (tmp_path / "ran").exists()
    assert not mirror.unpacked("part_1").exists()


def test_a_hostile_pickle_put_there_as_the_archive_is_never_run(mirror: Mirror, tmp_path: Path) -> None:
    mirror.root.mkdir()
    mirror.archive.write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    mirror.server.fault = "missing"
    mirror.refusal()
    assert not (tmp_path / "ran").exists()


def test_a_full_disk_is_told_as_such(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cifar.os, "replace", full)
    with pytest.raises(KdflowError, match=f"no space left on {mirror.root}") as failure:
        mirror.load()
    assert failure.value.exit_code == 1


def test_a_data_dir_that_is_a_file_is_one_line(mirror: Mirror) -> None:
    mirror.root.write_text("in the way")
    assert f"--data-dir {mirror.root}" in mirror.refusal()
