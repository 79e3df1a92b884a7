"""A checkpoint comes back exactly as it was saved, or the one before it does: after kills, damage, full disks.

What is in it is `fit`'s (`test_resume_engine`). Not covered: power failures, and who exchanges both files of a
checkpoint for others that fit each other; that is not noticed, but runs nothing either.
"""

import errno
import json
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdflow.common import files
from kdflow.common.errors import KdflowError
from kdflow.training.checkpoint import SCHEMA, load, save
from tests.small_disks import small_disk

# Forking a process with threads: the children only save, which needs none of them.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def content(epoch: int, size: int = 20) -> dict[str, Any]:
    """Of a checkpoint; no two epochs' are alike."""
    weights = torch.arange(size, dtype=torch.float32) + epoch
    members = [{"model": {"weight": weights, "count": torch.tensor(epoch)}, "optimiser": {0: weights / 3, 1: None}}]
    facts = {
        "history": [{"train/loss": 1 / done} for done in range(1, epoch + 1)],
        "settings": {"lr": 0.1, "name": "ü"},
    }
    return {"epoch": epoch, "members": members, "facts": facts}


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def of(*epochs: int) -> list[str]:
    """The files of their checkpoints."""
    return sorted(f"epoch-{epoch:04}.{kind}" for epoch in epochs for kind in ("pt", "json"))


def refused(action: Callable[..., object], *args: object) -> str:
    with pytest.raises(KdflowError) as caught:
        action(*args)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with the checkpoints of epochs 6 and 7."""
    for epoch in (6, 7):
        save(tmp_path, epoch, content(epoch))
    return tmp_path


def reseal(folder: Path, epoch: int, **changes: object) -> None:
    """Makes the sidecar vouch for whatever the checkpoint now is, as who exchanges both can."""
    card = folder / f"epoch-{epoch:04}.json"
    sealed = {"sha256": files.sha256(card.with_suffix(".pt")), **changes}
    card.write_text(json.dumps(json.loads(card.read_text()) | sealed))


def test_where_nothing_was_saved_there_is_nothing(tmp_path: Path) -> None:
    assert load(tmp_path) == (None, [])
    assert load(tmp_path / "missing") == (None, [])


def test_what_is_saved_is_loaded_back_and_the_newest_counts(tmp_path: Path) -> None:
    for epoch in (1, 2, 3, 9, 10, 9_999, 10_000):
        save(tmp_path, epoch, content(epoch))
        loaded, notices = load(tmp_path)
        assert same(loaded, content(epoch))
        assert notices == []


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    for epoch in range(1, 5):
        save(tmp_path, epoch, content(epoch))
        assert names(tmp_path) == of(*range(max(epoch - 1, 1), epoch + 1))


def test_what_training_did_not_go_on_from_is_removed_and_what_it_went_on_from_is_kept(tmp_path: Path) -> None:
    for epoch in (5, 6, 7):
        save(tmp_path, epoch, content(epoch))
    (tmp_path / "epoch-0007.pt").write_bytes(b"damaged")
    save(tmp_path, 7, content(7))
    assert names(tmp_path) == of(6, 7)
    save(tmp_path, 5, content(5))
    assert names(tmp_path) == of(5)


def test_left_over_parts_and_uncommitted_checkpoints_are_removed_and_other_files_are_not(two: Path) -> None:
    (two / f"tmpabc{files.PART}").write_bytes(b"half")
    (two / "epoch-0008.pt").write_bytes(b"never committed")
    for mine in ("notes.txt", "card.json", "weights.pt"):
        (two / mine).write_text("mine")
    loaded, notices = load(two)
    assert same(loaded, content(7))
    assert notices == []
    save(two, 9, content(9))
    assert names(two) == sorted([*of(7, 9), "card.json", "notes.txt", "weights.pt"])


def test_the_sidecar_can_be_read_by_people(two: Path) -> None:
    text = (two / "epoch-0007.json").read_text()
    card = json.loads(text)
    sha = files.sha256(two / "epoch-0007.pt")
    assert card == {"schema": SCHEMA, "epoch": 7, "sha256": sha, "facts": content(7)["facts"]}
    assert len(text.splitlines()) > 10


def test_what_is_loaded_has_the_epoch_that_it_was_saved_under_and_may_have_no_facts(tmp_path: Path) -> None:
    save(tmp_path, 3, {"weight": torch.ones(2)})
    assert same(load(tmp_path)[0], {"weight": torch.ones(2), "epoch": 3})


def test_saving_does_not_change_what_is_saved(tmp_path: Path) -> None:
    mine = content(3)
    save(tmp_path, 3, mine)
    assert same(mine, content(3))


def test_what_no_sidecar_can_say_is_noticed_before_anything_is_written(two: Path) -> None:
    with pytest.raises(TypeError):
        save(two, 8, {"facts": {"path": object}})
    assert names(two) == of(6, 7)


EXCHANGED = "epoch-0007.pt is damaged or was exchanged: its SHA-256 "
# Each damage to the checkpoint of epoch 7, and what is said of it.
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (
        lambda at: (at / "epoch-0007.pt").write_bytes(b""),
        EXCHANGED,
    ),
    "text": (
        lambda at: (at / "epoch-0007.pt").write_text("hello"),
        EXCHANGED,
    ),
    "missing": (lambda at: (at / "epoch-0007.pt").unlink(), "epoch-0007.pt cannot be read: No such file"),
    "of another epoch": (
        lambda at: (at / "epoch-0007.pt").write_bytes((at / "epoch-0006.pt").read_bytes()),
        EXCHANGED,
    ),
    "a folder": (
        lambda at: ((at / "epoch-0007.pt").unlink(), (at / "epoch-0007.pt").mkdir()),
        "epoch-0007.pt cannot be read: Is a directory",
    ),
    "sidecar empty": (lambda at: (at / "epoch-0007.json").write_bytes(b""), "epoch-0007.json is damaged: "),
    "sidecar cut": (lambda at: (at / "epoch-0007.json").write_bytes(b'{"schema": 1,'), "epoch-0007.json is damaged: "),
    "sidecar not text": (
        lambda at: (at / "epoch-0007.json").write_bytes(b"\xff\xfe\x00"),
        "epoch-0007.json is damaged",
    ),
    "sidecar deep": (lambda at: (at / "epoch-0007.json").write_text("[" * 10**5), "epoch-0007.json is damaged: "),
    "sidecar a list": (lambda at: (at / "epoch-0007.json").write_text("[]"), "epoch-0007.json is damaged: "),
    "sidecar a folder": (
        lambda at: ((at / "epoch-0007.json").unlink(), (at / "epoch-0007.json").mkdir()),
        "epoch-0007.json cannot be read: Is a directory",
    ),
    "sidecar of another epoch": (
        lambda at: (at / "epoch-0007.json").write_bytes((at / "epoch-0006.json").read_bytes()),
        "epoch-0007.json is damaged: it is not the card of epoch 7",
    ),
    "both of another epoch": (
        lambda at: [(at / of(7)[i]).write_bytes((at / of(6)[i]).read_bytes()) for i in (0, 1)],
        "epoch-0007.json is damaged: it is not the card of epoch 7",
    ),
    "another epoch with its hash": (
        lambda at: ((at / "epoch-0007.pt").write_bytes((at / "epoch-0006.pt").read_bytes()), reseal(at, 7)),
        "epoch-0007.pt is not the checkpoint of epoch 7",
    ),
    "no hash": (lambda at: reseal(at, 7, sha256=None), "epoch-0007.json is damaged: "),
    "another hash": (
        lambda at: reseal(at, 7, sha256="0" * 64),
        EXCHANGED,
    ),
    "no schema": (lambda at: reseal(at, 7, schema=None), "epoch-0007.json is damaged: "),
    "a schema that is a flag": (lambda at: reseal(at, 7, schema=True), "epoch-0007.json is damaged: "),
    "a schema of old": (lambda at: reseal(at, 7, schema=0), "epoch-0007.json is damaged: "),
    "a newer schema": (
        lambda at: reseal(at, 7, schema=SCHEMA + 1),
        "epoch-0007.json was written by a newer kdflow (schema 3, not 2): update kdflow",
    ),
    "cut but vouched for": (
        lambda at: ((at / "epoch-0007.pt").write_bytes((at / "epoch-0007.pt").read_bytes()[:500]), reseal(at, 7)),
        "epoch-0007.pt holds no tensors that can be read: ",
    ),
    "empty but vouched for": (
        lambda at: ((at / "epoch-0007.pt").write_bytes(b""), reseal(at, 7)),
        "epoch-0007.pt holds no tensors that can be read: ",
    ),
    "a list": (
        lambda at: (torch.save([1], at / "epoch-0007.pt"), reseal(at, 7)),
        "epoch-0007.pt is not the checkpoint",
    ),
    "a tensor": (
        lambda at: (torch.save(torch.ones(2), at / "epoch-0007.pt"), reseal(at, 7)),
        "epoch-0007.pt is not the checkpoint of epoch 7",
    ),
    "a newer schema inside": (
        lambda at: (torch.save(content(7) | {"schema": SCHEMA + 1}, at / "epoch-0007.pt"), reseal(at, 7)),
        "epoch-0007.pt is not the checkpoint of epoch 7",
    ),
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.values(), ids=DAMAGES.keys())
def test_instead_of_a_damaged_checkpoint_the_one_before_it_is_taken_and_the_user_told(
    two: Path, damage: Callable[[Path], object], reason: str
) -> None:
    damage(two)
    loaded, (notice,) = load(two)
    assert same(loaded, content(6))
    assert notice.startswith(f"{two}: {reason}")
    assert notice.endswith("; epoch 6 is the last that is whole")
    assert len(notice.splitlines()) == 1


def test_where_all_checkpoints_are_damaged_it_is_said_of_each_and_nothing_is_loaded(two: Path) -> None:
    (two / "epoch-0006.json").write_text("{}")
    (two / "epoch-0007.pt").write_bytes(b"")
    assert refused(load, two) == (
        f"{two}: no checkpoint can be used (epoch-0007.pt is damaged or was exchanged: its SHA-256 is not the one in "
        "epoch-0007.json; epoch-0006.json is damaged: it is not the card of epoch 6); start a new run"
    )


def test_a_checkpoint_of_a_newer_kdflow_alone_is_refused_by_that_name(tmp_path: Path) -> None:
    save(tmp_path, 1, content(1))
    reseal(tmp_path, 1, schema=SCHEMA + 1)
    assert "was written by a newer kdflow (schema 3, not 2): update kdflow" in refused(load, tmp_path)


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert refused(load, tmp_path / "file") == f"{tmp_path / 'file'} cannot be read: Not a directory"
    assert refused(save, tmp_path / "file", 1, content(1)).startswith(f"{tmp_path / 'file'} cannot be written to: ")


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_is_a_program_is_not_run_though_its_hash_is_right(two: Path, zipped: bool) -> None:
    marker, path = two / "marker", two / "epoch-0007.pt"
    hostile = content(7) | {"schema": SCHEMA, "more": Hostile(marker)}
    torch.save(hostile, path, _use_new_zipfile_serialization=zipped)
    reseal(two, 7)
    loaded, (notice,) = load(two)
    assert same(loaded, content(6))
    assert "epoch-0007.pt holds no tensors that can be read: " in notice
    assert not marker.exists()
    torch.load(path, weights_only=False)
    assert marker.exists(), "it would have been, without the guard"


Damage = Callable[[bytes], bytes]
places = st.integers(0, 10**9)
damages = st.one_of(
    st.builds(
        lambda at, by: lambda raw: raw[: at % len(raw)] + bytes([raw[at % len(raw)] ^ by]) + raw[at % len(raw) + 1 :],
        places,
        st.integers(1, 255),
    ),
    st.builds(lambda at: lambda raw: raw[: at % len(raw)], places),
    st.builds(
        lambda at, more: lambda raw: raw[: at % (len(raw) + 1)] + more + raw[at % (len(raw) + 1) :],
        places,
        st.binary(min_size=1, max_size=40),
    ),
)


def lay_out(folder: Path, written: dict[str, bytes], **damaged: bytes) -> None:
    for name, raw in written.items():
        (folder / name).write_bytes(damaged.get(name, raw))


@pytest.fixture
def written(two: Path) -> dict[str, bytes]:
    """The bytes of the checkpoints of epochs 6 and 7, by file."""
    return {name: (two / name).read_bytes() for name in of(6, 7)}


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(["pt", "json"]), damage=damages)
def test_whatever_is_damaged_in_one_file_a_checkpoint_is_loaded_that_was_saved(
    two: Path, written: dict[str, bytes], kind: str, damage: Damage
) -> None:
    name = f"epoch-0007.{kind}"
    lay_out(two, written, **{name: damage(written[name])})
    loaded, notices = load(two)
    if notices:
        assert same(loaded, content(6))
        assert len(notices) == 1
        assert notices[0].startswith(f"{two}: epoch-0007.")
        assert len(notices[0].splitlines()) == 1
    else:
        assert kind == "json", "each byte of the checkpoint itself counts"
        assert same(loaded, content(7))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.fixed_dictionaries(dict.fromkeys(of(6, 7), damages)))
def test_whatever_is_damaged_in_all_files_nothing_is_loaded_that_was_not_saved(
    two: Path, written: dict[str, bytes], every: dict[str, Damage]
) -> None:
    lay_out(two, written, **{name: damage(written[name]) for name, damage in every.items()})
    assert "no checkpoint can be used" in refused(load, two)


def test_each_flipped_bit_of_a_checkpoint_is_noticed(two: Path, written: dict[str, bytes]) -> None:
    raw = written["epoch-0007.pt"]
    for place in range(0, len(raw), 11):
        flipped = bytearray(raw)
        flipped[place] ^= 1 << place % 8
        (two / "epoch-0007.pt").write_bytes(flipped)
        loaded, notices = load(two)
        assert same(loaded, content(6)), place
        assert len(notices) == 1


def child(action: Callable[[], object]) -> int:
    """Does something in a copy of this process; how that ended, as `subprocess` tells it."""
    if not (process := os.fork()):
        try:
            signal.alarm(60)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def save_until(call: int, folder: Path, epoch: int) -> None:
    """Saves, and kills itself before its n-th call of the system, counted from 1."""
    calls = count(1)

    def at_each(frame: object, event: str, function: object) -> None:
        of_the_system = getattr(function, "__module__", "") == "posix" and function is not os.fspath
        if event == "c_call" and of_the_system and next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(at_each)
    save(folder, epoch, content(epoch))
    sys.setprofile(None)


def newest_after_a_kill(folder: Path, epoch: int) -> int:
    """The epoch of what is loaded, which must be that of the newest sidecar and whole, and no cause for complaint."""
    committed = max(epoch - (not (folder / f"epoch-{epoch:04}.json").exists()), 0)
    loaded, notices = load(folder)
    assert same(loaded, content(committed) if committed else None)
    assert notices == []
    return committed


@forks
def test_killed_at_any_call_within_a_save_the_last_finished_checkpoint_is_there(tmp_path: Path) -> None:
    lost = {False: 0, True: 0}
    for call in count(1):
        epoch = call
        ended = child(lambda call=call, epoch=epoch: save_until(call, tmp_path, epoch))
        if ended == 0:
            break
        assert ended == -signal.SIGKILL
        lost[newest_after_a_kill(tmp_path, epoch) < epoch] += 1
        save(tmp_path, epoch, content(epoch))
        assert names(tmp_path) == of(*range(max(epoch - 1, 1), epoch + 1)), "what was left over is gone"
    assert min(lost.values()) > 5, "kills before and after the moment from which a checkpoint counts"


def save_little(size: int, folder: Path, epoch: int) -> None:
    """Saves, and is killed by the system when a file grows beyond a size."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    save(folder, epoch, content(epoch))


@forks
@pytest.mark.parametrize("size", [0, 1, 700, 2000])
def test_killed_in_the_middle_of_a_file_the_checkpoint_before_is_there(two: Path, size: int) -> None:
    assert child(lambda: save_little(size, two, 8)) == -signal.SIGXFSZ
    assert newest_after_a_kill(two, 8) == 7
    assert any(name.endswith(files.PART) for name in names(two))
    save(two, 8, content(8))
    assert names(two) == of(7, 8)


def save_for_ever(folder: Path, first: int) -> None:
    for epoch in count(first):
        save(folder, epoch, content(epoch, size=20_000))


@forks
def test_killed_at_any_time_the_last_finished_checkpoint_is_there(tmp_path: Path) -> None:
    chance, newest = random.Random(0), 0
    for _ in range(15):
        if not (process := os.fork()):
            try:
                save_for_ever(tmp_path, newest + 1)
            finally:
                os._exit(1)
        until = time.monotonic() + 60
        while not (tmp_path / f"epoch-{newest + 1:04}.json").exists() and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        loaded, notices = load(tmp_path)
        assert notices == []
        assert loaded
        assert loaded["epoch"] > newest
        newest = loaded["epoch"]
        assert same(loaded, content(newest, size=20_000))
    assert len(names(tmp_path)) < 10, "what kills leave over does not pile up"


def test_on_a_full_disk_it_is_said_so_and_the_checkpoints_before_stay(tmp_path: Path) -> None:
    with small_disk(tmp_path, "size=1m") as disk:
        for epoch in (1, 2):
            save(disk, epoch, content(epoch, size=50_000))
        message = refused(save, disk, 3, content(3, size=50_000))
        assert message.startswith(f"no space left on {disk}: 3")
        assert names(disk) == of(1, 2)
        loaded, notices = load(disk)
        assert same(loaded, content(2, size=50_000))
        assert notices == []


@pytest.fixture(params=[errno.ENOSPC, errno.EIO, errno.EROFS])
def failing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """`failing(call)`: from its n-th call on, the disk takes nothing."""

    def prepare(call: int) -> None:
        calls, fsync = count(1), os.fsync

        def sync(handle: int) -> None:
            if next(calls) >= call:
                raise OSError(request.param, os.strerror(request.param))
            fsync(handle)

        monkeypatch.setattr(os, "fsync", sync)

    return prepare


@pytest.mark.parametrize(("call", "newest"), [(1, 7), (2, 7), (3, 7), (4, 8)])
def test_whatever_a_disk_does_not_take_the_checkpoints_before_stay(
    two: Path, failing: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, call: int, newest: int
) -> None:
    failing(call)
    assert str(two) in refused(save, two, 8, content(8))
    assert not any(name.endswith(files.PART) for name in names(two))
    loaded, notices = load(two)
    assert same(loaded, content(newest))
    assert notices == []
    monkeypatch.undo()
    save(two, 8, content(8))
    assert names(two) == of(7, 8)


def test_what_cannot_be_removed_is_told(two: Path) -> None:
    (two / "epoch-0005.pt").mkdir()
    assert refused(save, two, 8, content(8)).startswith(f"{two} cannot be written to: ")
    assert same(load(two)[0], content(8))
