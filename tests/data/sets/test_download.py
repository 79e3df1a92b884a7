"""Downloads from a local server that fails in every way: no test here reaches a network.

Not covered: encrypted connections, and a lock on a file system that several machines share.
"""

import errno
import hashlib
import socket
import stat
import threading
from pathlib import Path

import pytest

from kdflow.common.errors import DataError
from kdflow.data.sets import download as downloading
from kdflow.data.sets.download import ATTEMPTS, download, workplace
from tests.data.server import Server

BODY = bytes(range(256)) * 4096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture(autouse=True)
def _body(server: Server) -> None:
    server.body = BODY


def fetch(server: Server, path: Path) -> None:
    download(server.url, path, expected=hashlib.sha256(BODY).hexdigest())


def refusal(server: Server, path: Path) -> str:
    with pytest.raises(DataError) as failure:
        fetch(server, path)
    assert "\n" not in str(failure.value)
    assert server.url in str(failure.value)
    return str(failure.value)


def test_a_whole_file_comes_in_one_request_and_shows_its_progress(
    server: Server, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert server.asked == [""]
    assert "100" in capsys.readouterr().err


@pytest.mark.parametrize("fault", ["broken off", "silent"])
def test_what_breaks_off_is_continued_where_it_was(
    fault: str, server: Server, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.faults = [fault, fault]
    fetch(server, path)
    assert path.read_bytes() == BODY
    half, quarter = len(BODY) // 2, len(BODY) // 4
    assert server.asked == ["", f"bytes={half}-", f"bytes={half + quarter}-"]
    assert f"continuing after {half:,} bytes" in capsys.readouterr().err


@pytest.mark.parametrize("between", ["busy", "mute"])
def test_a_server_that_comes_back_a_moment_later_is_asked_again(between: str, server: Server, path: Path) -> None:
    server.faults = ["broken off", between, between]
    fetch(server, path)
    assert path.read_bytes() == BODY
    assert server.asked[-1] == f"bytes={len(BODY) // 2}-"


def test_a_server_that_sends_no_parts_begins_anew(server: Server, path: Path) -> None:
    server.ranges, server.faults = False, ["broken off"]
    fetch(server, path)
    assert path.read_bytes() == BODY


def test_another_part_than_the_one_asked_for_is_not_appended(server: Server, path: Path) -> None:
    server.faults = ["broken off", "other part"]
    fetch(server, path)
    assert path.read_bytes() == BODY


def test_a_file_of_untold_length_is_judged_by_its_checksum(server: Server, path: Path) -> None:
    server.fault = "nameless"
    fetch(server, path)
    assert path.read_bytes() == BODY


def test_a_server_that_always_breaks_off_is_given_up_in_one_line(server: Server, path: Path) -> None:
    server.ranges, server.fault = False, "broken off"
    assert f"broke off after {len(BODY) // 2:,} of {len(BODY):,} bytes" in refusal(server, path)
    assert len(server.asked) == ATTEMPTS


@pytest.mark.parametrize(("fault", "words"), [("missing", "404"), ("busy", "503"), ("mute", "closed connection")])
def test_a_server_that_sends_nothing_at_all_is_asked_once(fault: str, words: str, server: Server, path: Path) -> None:
    server.fault = fault
    assert words in refusal(server, path)
    assert server.asked == [""]


def test_a_file_that_disappears_half_way_is_not_asked_for_again(server: Server, path: Path) -> None:
    server.faults, server.fault = ["broken off"], "missing"
    assert "404" in refusal(server, path)
    assert len(server.asked) == 2


def test_nobody_there_is_one_line(server: Server, path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server.url = f"http://127.0.0.1:{free.getsockname()[1]}/archive.tar.gz"
    assert "refused" in refusal(server, path)


def test_other_content_is_told_with_both_checksums(server: Server, path: Path) -> None:
    server.body = BODY[:-1] + b"x"
    message = refusal(server, path)
    assert hashlib.sha256(BODY).hexdigest() in message
    assert hashlib.sha256(server.body).hexdigest() in message


def test_a_file_without_end_does_not_fill_the_disk(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloading, "LIMIT", len(BODY) // 4)
    assert "more than 262,144 bytes" in refusal(server, path)
    assert path.stat().st_size <= len(BODY) // 4 + downloading.CHUNK


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_no_fault_of_the_server(server: Server) -> None:
    with pytest.raises(OSError, match="No space left") as failure:
        fetch(server, Path("/dev/full"))
    assert failure.value.errno == errno.ENOSPC
    assert len(server.asked) == 1


def test_the_workplace_is_private_and_leaves_nothing_behind_but_a_lock(path: Path) -> None:
    with workplace(path) as private:
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert private.parent == path.parent, "so that a file is moved out of it at once"
        (private / "half").write_text("")
    assert [file.name for file in path.parent.iterdir()] == [".file.lock"]


def test_what_a_killed_process_left_is_cleared_away(path: Path) -> None:
    with workplace(path) as private:
        pass
    private.mkdir()
    (private / "half").write_text("")
    with workplace(path):
        assert not private.exists()


def test_the_workplace_is_for_one_at_a_time_and_whoever_waits_is_told(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = []

    def second() -> None:
        with workplace(path):
            order.append("second")

    thread = threading.Thread(target=second)
    with workplace(path):
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert f"{path} is being made by another process: waiting for it" in capsys.readouterr().err
