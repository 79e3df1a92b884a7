"""What is kept in the user's cache folder: it comes back whole, or not at all, and never stands in the way.

Not covered: a disk that fills up while a file is written, and folders that may not be written, as tests may run as a
user who may write everywhere (a file stands in their place instead).
"""

import os
import random
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdflow.common import cache

DTYPES = [torch.bool, torch.uint8, torch.int64, torch.float32, torch.bfloat16]
TENSORS = {
    "logits": torch.arange(12.0).reshape(3, 4),
    "labels": torch.arange(5),
    "flags": torch.tensor([True, False]),
    "none": torch.empty(0, 3),
}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; where the entry called "it" lies in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return cache.folder() / "it.pt"


def same(one: dict[str, Tensor] | None, other: dict[str, Tensor]) -> bool:
    assert one is not None
    return list(one) == list(other) and all(
        one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in other
    )


def names() -> set[str]:
    return {path.name for path in cache.folder().iterdir()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(max_size=8), st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 3), max_size=3)), max_size=4
    )
)
def test_what_is_saved_is_loaded_back(kinds: dict[str, tuple[torch.dtype, list[int]]]) -> None:
    tensors = {name: torch.randn(shape).mul(50).to(dtype) for name, (dtype, shape) in kinds.items()}
    cache.save("it", tensors)
    assert same(cache.load("it"), tensors)


def test_a_view_comes_back_as_what_it_showed() -> None:
    whole = torch.randn(6, 4)
    views = {"transposed": whole.T, "every second": whole[::2], "expanded": whole[:1].expand(5, 4)}
    cache.save("it", views)
    assert same(cache.load("it"), views)


def test_what_is_loaded_can_be_changed_without_changing_what_is_kept() -> None:
    cache.save("it", TENSORS)
    loaded = cache.load("it")
    assert loaded
    loaded["logits"].zero_()
    assert same(cache.load("it"), TENSORS)


def test_there_is_nothing_under_a_name_that_was_never_saved() -> None:
    assert cache.load("it") is None
    cache.save("other", TENSORS)
    assert cache.load("it") is None


def test_what_is_saved_later_replaces_what_was_there() -> None:
    cache.save("it", TENSORS)
    before = cache.load("it")
    after = {"logits": torch.ones(2)}
    cache.save("it", after)
    assert same(cache.load("it"), after)
    assert same(before, TENSORS), "what was mapped into memory stays"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_an_entry_that_was_cut_off_is_no_entry(kept: Path, share: float) -> None:
    cache.save("it", TENSORS)
    content = kept.read_bytes()
    kept.write_bytes(content[: int(len(content) * share)])
    assert cache.load("it") is None


# torch warns about some of what it finds in a damaged file.
@pytest.mark.filterwarnings("ignore")
def test_whatever_byte_is_damaged_the_entry_is_as_it_was_or_there_is_none(kept: Path) -> None:
    cache.save("it", TENSORS)
    whole = kept.read_bytes()
    chance = random.Random(0)
    lost, failures = 0, []
    for position in chance.sample(range(len(whole)), 300):
        content = bytearray(whole)
        content[position] ^= chance.randrange(1, 256)
        kept.unlink()  # what earlier loads have mapped must not change under them
        kept.write_bytes(content)
        try:
            loaded = cache.load("it")
        except Exception as error:
            failures.append(f"byte {position}: {error!r}")
        else:
            lost += loaded is None
            assert loaded is None or same(loaded, TENSORS), f"byte {position}"
    assert not failures
    assert 0 < lost < 300, "some bytes matter, and padding does not"


def test_each_damaged_number_is_noticed(kept: Path) -> None:
    cache.save("it", {"logits": torch.full((8,), 1.25)})
    whole = kept.read_bytes()
    first = whole.index(torch.full((8,), 1.25).numpy().tobytes())
    for position in range(first, first + 32):
        content = bytearray(whole)
        content[position] ^= 1
        kept.unlink()
        kept.write_bytes(content)
        assert cache.load("it") is None, position


class Hostile:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("zipped", [True, False])
def test_an_entry_that_is_a_program_is_not_run(kept: Path, tmp_path: Path, zipped: bool) -> None:
    marker = tmp_path / "marker"
    kept.parent.mkdir(parents=True)
    content = {"sha256": cache.fingerprint(TENSORS), "tensors": TENSORS, "more": Hostile(marker)}
    torch.save(content, kept, _use_new_zipfile_serialization=zipped)
    assert cache.load("it") is None
    assert not marker.exists()
    torch.load(kept, weights_only=False)
    assert marker.exists(), "it would have been, without the guard"


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
@pytest.mark.parametrize(
    "content",
    [
        TENSORS,
        {"tensors": TENSORS},
        {"tensors": TENSORS, "sha256": "0" * 64},
        {"tensors": list(TENSORS.values()), "sha256": ""},
        {"tensors": {"logits": 3}, "sha256": ""},
        {"tensors": {"logits": torch.eye(2).to_sparse()}, "sha256": ""},
        TENSORS["logits"],
        [TENSORS],
        None,
        "text",
    ],
)
def test_a_file_of_somebody_else_is_no_entry(kept: Path, content: object) -> None:
    kept.parent.mkdir(parents=True)
    torch.save(content, kept)
    assert cache.load("it") is None


def test_a_folder_in_the_place_of_an_entry_is_no_entry_and_is_told_once(kept: Path) -> None:
    kept.mkdir(parents=True)
    assert cache.load("it") is None
    with pytest.warns(UserWarning, match="cannot keep anything") as told:
        cache.save("it", TENSORS)
    assert len(told) == 1
    assert names() == {"it.pt"}


@pytest.mark.parametrize("place", ["home", "home/kdflow"])
def test_where_nothing_can_be_kept_one_warning_says_so(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("a file where a folder should be")
    assert cache.load("it") is None
    with pytest.warns(UserWarning, match="cannot keep anything") as told:
        cache.save("it", TENSORS)
    assert len(told) == 1
    assert str(cache.folder()) in str(told[0].message)
    assert "\n" not in str(told[0].message)
    assert cache.load("it") is None


def test_what_is_interrupted_while_it_is_written_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    cache.save("it", TENSORS)

    def interrupted(content: object, file: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.save("it", {"logits": torch.ones(2)})
    assert names() == {"it.pt"}
    assert same(cache.load("it"), TENSORS)


def test_several_that_save_under_one_name_leave_one_whole_entry() -> None:
    contents = [{"logits": torch.full((5000,), float(number))} for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: cache.save("it", content), contents * 5))
        seen = list(pool.map(lambda _: cache.load("it"), range(8)))
    assert all(any(same(one, content) for content in contents) for one in seen)
    assert names() == {"it.pt"}


def test_an_entry_is_whole_at_any_time_while_two_processes_save_it() -> None:
    code = "import torch; from kdflow.common import cache\n"
    code += "for _ in range(50): cache.save('it', {'logits': torch.arange(5000.0)})"
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    tensors = {"logits": torch.arange(5000.0)}
    with subprocess.Popen([sys.executable, "-W", "error", "-c", code], env=environment) as other:
        while other.poll() is None:
            cache.save("it", tensors)
            assert same(cache.load("it"), tensors)
    assert other.returncode == 0
    assert names() == {"it.pt"}


def fill(*ages: int) -> int:
    """Saves entries "0", "1", ... that were last used so many seconds ago; gives the size of one."""
    for number, age in enumerate(ages):
        cache.save(str(number), {"logits": torch.zeros(1000)})
        path = cache.folder() / f"{number}.pt"
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return path.stat().st_size


def test_above_the_limit_what_was_used_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    size = fill(100, 300, 200)
    monkeypatch.setattr(cache, "LIMIT", 3 * size)
    fill(100, 300, 200)
    assert names() == {"0.pt", "1.pt", "2.pt"}, "exactly at the limit"
    cache.save("new", {"logits": torch.zeros(1000)})
    assert names() == {"0.pt", "2.pt", "new.pt"}
    monkeypatch.setattr(cache, "LIMIT", 1 * size)
    cache.save("newer", {"logits": torch.zeros(1000)})
    assert names() == {"newer.pt"}


def test_being_loaded_is_being_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 2 * fill(100, 50))
    cache.load("0")
    cache.save("new", {"logits": torch.zeros(1000)})
    assert names() == {"0.pt", "new.pt"}


def test_what_others_keep_in_the_folder_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(100)
    (cache.folder() / "notes.txt").write_text("mine")
    monkeypatch.setattr(cache, "LIMIT", 0)
    cache.save("new", TENSORS)
    assert names() == {"notes.txt"}


def test_an_entry_that_another_process_deletes_first_is_no_reason_to_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    fill(100)
    stat = Path.stat

    def gone(path: Path, **options: bool) -> os.stat_result:
        if path.name == "0.pt":
            path.unlink(missing_ok=True)
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", gone)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.save("new", TENSORS)


def test_a_key_is_a_file_name_that_follows_from_its_parts_alone() -> None:
    assert cache.key("a", 1, (2, "b")) == cache.key("a", 1, (2, "b"))
    assert cache.key("a").isalnum()
    keys = {cache.key(*parts) for parts in [(), ("a",), ("a", "b"), ("ab",), (("a", "b"),), (1,), ("1",), (True,)]}
    assert len(keys) == 8


def test_another_version_of_kdflow_or_torch_finds_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [cache.key("a")]
    for module, version in ((cache, "99.0"), (torch, "99.0")):
        with monkeypatch.context() as patch:
            patch.setattr(module, "__version__", version)
            keys.append(cache.key("a"))
    assert len({*keys}) == 3
    assert cache.key("a") == keys[0]


def test_a_fingerprint_tells_names_types_shapes_and_bytes_apart() -> None:
    ones = torch.ones(4, dtype=torch.int64)
    contents = [{"a": ones}, {"b": ones}, {"a": ones.view(2, 2)}, {"a": ones.view(torch.float64)}, {"a": ones * 2}, {}]
    assert len({cache.fingerprint(content) for content in contents}) == len(contents)
    assert cache.fingerprint({"a": torch.eye(2)[:, 0]}) == cache.fingerprint({"a": torch.tensor([1.0, 0.0])})


@pytest.mark.parametrize("named", ["", None])
def test_the_folder_is_that_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str | None) -> None:
    assert cache.folder() == tmp_path / "home" / "kdflow"
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.delenv("XDG_CACHE_HOME")
    if named is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", named)
    assert cache.folder() == tmp_path / "me" / ".cache" / "kdflow"
    cache.save("it", TENSORS)
    assert (tmp_path / "me" / ".cache" / "kdflow" / "it.pt").is_file()
