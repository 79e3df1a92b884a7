"""Files are written whole or not at all, and who cannot write is told so in one line.

That what `os.fsync` was asked for survives a power failure is the file system's promise, not tested here.
"""

import errno
import os
import shutil
import signal
from pathlib import Path

import pytest

from kdflow.common import files
from kdflow.common.errors import KdflowError, UsageError
from tests.small_disks import small_disk

NOBODY = 65534


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refused(path: Path, content: bytes) -> str:
    with pytest.raises(KdflowError) as caught:
        files.write(path, content)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("content", [b"", b"new", bytes(range(256)) * 5000])
def test_what_is_written_is_there_and_nothing_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "it"
    for expected in (content, b"newer", content):
        files.write(path, expected)
        assert path.read_bytes() == expected
    assert names(tmp_path) == ["it"]


def test_a_file_is_on_the_disk_before_it_takes_its_name_and_the_name_before_the_call_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def spy_sync(handle: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{handle}"))
        done.append(f"sync {target.suffix or 'folder'} {target.stat().st_size if target.is_file() else ''}".strip())
        fsync(handle)

    def spy_replace(source: str, target: Path) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_sync)
    monkeypatch.setattr(os, "replace", spy_replace)
    folder = tmp_path / "folder"
    folder.mkdir()
    files.write(folder / "it", b"four")
    assert done == ["sync .part 4", "replace", "sync folder"]


@pytest.mark.parametrize("function", ["fsync", "replace", "fdopen"])
@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_failure_leaves_what_was_there_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
) -> None:
    files.write(tmp_path / "it", b"old")

    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, function, fail)
    message = refused(tmp_path / "it", b"new")
    assert message.startswith(f"{'no space left on ' if number == errno.ENOSPC else ''}{tmp_path}")
    assert (tmp_path / "it").read_bytes() == b"old"
    assert names(tmp_path) == ["it"]


def test_an_interruption_leaves_what_was_there_and_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write(tmp_path / "it", b"old")
    monkeypatch.setattr(os, "fsync", lambda handle: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        files.write(tmp_path / "it", b"new")
    assert (tmp_path / "it").read_bytes() == b"old"
    assert names(tmp_path) == ["it"]


@pytest.mark.parametrize(("number", "told"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_sync_folders_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, told: bool
) -> None:
    fsync = os.fsync

    def only_files(handle: int) -> None:
        if Path(os.readlink(f"/proc/self/fd/{handle}")).is_dir():
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", only_files)
    if told:
        assert os.strerror(number) in refused(tmp_path / "it", b"new")
    else:
        files.write(tmp_path / "it", b"new")
    assert (tmp_path / "it").read_bytes() == b"new"


def test_a_full_disk_is_called_so_with_what_is_needed_and_what_is_free(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=1m") as disk:
        files.write(disk / "it", b"o" * 400_000)
        free = shutil.disk_usage(disk).free // 1024
        message = refused(disk / "it", b"n" * 3_000_000)
        assert message == f"no space left on {disk}: 2,930 KiB needed, {free} KiB free; make room"
        assert (disk / "it").read_bytes() == b"o" * 400_000
        assert names(disk) == ["it"]


def test_a_disk_may_be_full_of_files_too(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=1m,nr_inodes=2") as disk:
        files.write(disk / "it", b"old")
        assert refused(disk / "other", b"new").startswith(f"no space left on {disk}: 1 KiB needed, ")
        assert names(disk) == ["it"]


def test_a_read_only_folder_is_found_out_before_anything_is_lost(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=1m,ro") as disk:
        reason = "cannot be written to: Read-only file system"
        assert refused(disk / "it", b"new") == f"{disk} {reason}"
        for folder in (disk, disk / "a" / "b"):
            with pytest.raises(KdflowError) as caught:
                files.require_writable(folder, option="--runs-dir")
            assert str(caught.value) == f"--runs-dir {folder} {reason}; give another folder"


def test_a_folder_of_somebody_else_is_found_out(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        assert "Permission denied" in refused(tmp_path / "it", b"new")
        with pytest.raises(KdflowError, match=r"--runs-dir .* Permission denied; give another folder"):
            files.require_writable(tmp_path / "a", option="--runs-dir")
    finally:
        os.seteuid(user)


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_file_in_the_place_of_the_folder_is_found_out(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    folder = tmp_path / "file" / below
    assert refused(folder / "it", b"new").startswith(f"{folder} cannot be written to: ")
    with pytest.raises(KdflowError) as caught:
        files.require_writable(folder, option="--runs-dir")
    assert str(caught.value).startswith(f"--runs-dir {folder} cannot be written to: ")
    assert str(caught.value).endswith("; give another folder")
    assert (tmp_path / "file").read_text() == "mine"


def test_whether_a_folder_can_be_written_to_is_learned_without_a_trace(tmp_path: Path) -> None:
    files.require_writable(tmp_path / "a" / "b", option="--runs-dir")
    assert names(tmp_path) == []
    (tmp_path / "a").mkdir()
    files.require_writable(tmp_path / "a", option="--runs-dir")
    assert names(tmp_path) == ["a"]
    assert names(tmp_path / "a") == []


def test_a_working_directory_that_is_gone_or_has_no_utf8_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(UsageError, match=r"caf\\udce9' has a name that is no UTF-8: change to another"):
        files.require_working_folder()
    odd.rmdir()
    with pytest.raises(UsageError, match="the working directory is gone"):
        files.require_working_folder()
    monkeypatch.chdir(tmp_path)
    files.require_working_folder()


def test_a_file_cannot_be_written_to_a_folder_that_is_gone(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone" / "it", b"new") == (
        f"{tmp_path / 'gone'} cannot be written to: No such file or directory"
    )


def test_the_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "it").write_bytes(b"abc")
    # FIPS 180-2, appendix B.1.
    assert files.sha256(tmp_path / "it") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_file_can_be_read_by_whom_the_user_lets_read(tmp_path: Path) -> None:
    files.write(tmp_path / "ours", b"new")
    (tmp_path / "usual").write_bytes(b"new")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode
