"""Folders that are decoded once: what is read from the cache is what `read_folder` gives, or is decoded again.

What `read_folder` itself gives and refuses is `test_folder`'s; damage in general is `test_cache`'s.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdflow.common import cache
from kdflow.common.errors import DataError
from kdflow.config import DataConfig
from kdflow.data import decoded, load
from kdflow.data.base import RawData
from kdflow.data.decoded import read_decoded
from kdflow.data.folder import read_folder
from tests.data.image_folders import a_class_folder, a_parquet_folder, a_shard, encoded, pixels

LAYOUTS = {"parquet": a_parquet_folder, "class folders": a_class_folder}


@pytest.fixture
def images(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder in the layout that the test names."""
    return LAYOUTS[getattr(request, "param", "class folders")](tmp_path / "images")


both_layouts = pytest.mark.parametrize("images", LAYOUTS, indirect=True)


@pytest.fixture(autouse=True)
def reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders that have been decoded, in a cache of the test's own."""
    folders: list[Path] = []

    def spy(folder: Path, *, resize: bool) -> RawData:
        folders.append(folder)
        return read_folder(folder, resize=resize)

    monkeypatch.setattr(decoded, "read_folder", spy)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folders


def assert_same(one: RawData, other: RawData) -> None:
    for ours, theirs in ((one.train, other.train), (one.test, other.test)):
        for mine, yours in ((ours.images, theirs.images), (ours.labels, theirs.labels)):
            assert mine.dtype == yours.dtype
            assert mine.stride() == yours.stride()
            assert torch.equal(mine, yours)
    assert (one.classes, one.mirrored, one.digest()) == (other.classes, other.mirrored, other.digest())


def refusals(folder: Path) -> tuple[str, str]:
    """What `read_folder` and `read_decoded` say."""
    told = []
    for read in (read_folder, read_decoded):
        with pytest.raises(DataError) as failure:
            read(folder, resize=False)
        told.append(str(failure.value))
    return told[0], told[1]


@both_layouts
def test_the_second_reading_decodes_nothing_and_gives_the_same(images: Path, reads: list[Path]) -> None:
    first, second = read_decoded(images, resize=False), read_decoded(images, resize=False)
    assert reads == [images]
    assert_same(first, read_folder(images, resize=False))
    assert_same(first, second)


def test_class_names_of_any_script_come_back(tmp_path: Path, reads: list[Path]) -> None:
    folder = a_parquet_folder(tmp_path / "images", names=("naïve", '"猫", 🐕'))
    assert read_decoded(folder, resize=False).classes == read_decoded(folder, resize=False).classes
    assert read_decoded(folder, resize=False).classes == ("naïve", '"猫", 🐕')
    assert len(reads) == 1


@both_layouts
def test_a_data_set_is_the_same_from_the_cache(images: Path, reads: list[Path]) -> None:
    config = DataConfig(dataset=str(images), val_fraction=0.34)
    first, second = load(config), load(config)
    assert len(reads) == 1
    assert (first.digest, first.split_digest, first.mean, first.std) == (
        second.digest,
        second.split_digest,
        second.mean,
        second.std,
    )
    for part in ("train", "val", "test"):
        assert torch.equal(getattr(first, part).images, getattr(second, part).images)


def test_the_same_files_elsewhere_need_not_be_decoded_again(images: Path, reads: list[Path], tmp_path: Path) -> None:
    first = read_decoded(images, resize=False)
    shutil.copytree(images, tmp_path / "copy")
    assert_same(first, read_decoded(tmp_path / "copy", resize=False))
    assert len(reads) == 1


def another_image(folder: Path) -> None:
    (folder / "train" / "cat" / "0.png").write_bytes(encoded(pixels(99)))


def another_test_image(folder: Path) -> None:
    (folder / "test" / "dog" / "0.png").write_bytes(encoded(pixels(99)))


def another_name(folder: Path) -> None:
    (folder / "train" / "cat" / "0.png").rename(folder / "train" / "cat" / "9.png")


def another_class(folder: Path) -> None:
    shutil.copytree(folder / "train" / "dog", folder / "train" / "eel")


def another_class_name(folder: Path) -> None:
    for part in ("train", "test"):
        (folder / part / "cat").rename(folder / part / "cow")


def moved_to_another_class(folder: Path) -> None:
    (folder / "train" / "cat" / "0.png").rename(folder / "train" / "dog" / "7.png")


def an_image_less(folder: Path) -> None:
    (folder / "train" / "cat" / "0.png").unlink()


def two_images_exchanged(folder: Path) -> None:
    one, other = folder / "train" / "cat" / "0.png", folder / "train" / "dog" / "0.png"
    contents = one.read_bytes(), other.read_bytes()
    other.write_bytes(contents[0])
    one.write_bytes(contents[1])


@pytest.mark.parametrize(
    "change",
    [
        another_image,
        another_test_image,
        another_name,
        another_class,
        another_class_name,
        moved_to_another_class,
        an_image_less,
        two_images_exchanged,
    ],
)
def test_a_folder_that_has_changed_is_decoded_again(
    images: Path, reads: list[Path], change: Callable[[Path], None]
) -> None:
    before = read_decoded(images, resize=False)
    change(images)
    after = read_decoded(images, resize=False)
    assert len(reads) == 2
    assert_same(after, read_folder(images, resize=False))
    assert after.digest() != before.digest()


def test_a_shard_that_has_changed_is_decoded_again(tmp_path: Path, reads: list[Path]) -> None:
    folder = a_parquet_folder(tmp_path / "images")
    read_decoded(folder, resize=False)
    a_shard(folder / "train-00000-of-00001.parquet", [encoded(pixels(i)) for i in range(6)], [1, 0] * 3)
    assert read_decoded(folder, resize=False).train.labels.tolist() == [1, 0] * 3
    assert len(reads) == 2


def test_scaled_images_are_kept_apart_from_those_as_they_are(images: Path, reads: list[Path]) -> None:
    read_decoded(images, resize=False)
    (images / "train" / "dog" / "1.png").write_bytes(encoded(pixels(3, size=64)))
    scaled = read_decoded(images, resize=True)
    assert_same(scaled, read_decoded(images, resize=True))
    assert len(reads) == 2
    with pytest.raises(DataError, match="64x64"):
        read_decoded(images, resize=False)


def test_another_version_of_pillow_decodes_again(
    images: Path, reads: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read_decoded(images, resize=False)
    monkeypatch.setattr("PIL.__version__", "99.0")
    read_decoded(images, resize=False)
    assert len(reads) == 2


def without_test_part(folder: Path) -> None:
    shutil.rmtree(folder / "test")


def with_a_note(folder: Path) -> None:
    (folder / "train" / "dog" / "notes.txt").write_text("")


def with_a_nested_folder(folder: Path) -> None:
    (folder / "train" / "dog" / "more").mkdir()


def with_an_empty_class(folder: Path) -> None:
    (folder / "train" / "eel").mkdir()


def with_half_an_image(folder: Path) -> None:
    (folder / "test" / "cat" / "0.png").write_bytes(encoded(pixels(0))[:1500])


def with_a_dangling_link(folder: Path) -> None:
    (folder / "train" / "cat" / "link.png").symlink_to("nowhere")


def with_a_stray_shard(folder: Path) -> None:
    a_shard(folder / "more.parquet", [encoded(pixels(0))], [0])


@pytest.mark.parametrize(
    "spoil",
    [
        shutil.rmtree,
        without_test_part,
        with_a_note,
        with_a_nested_folder,
        with_an_empty_class,
        with_half_an_image,
        with_a_dangling_link,
        with_a_stray_shard,
    ],
)
def test_a_spoilt_folder_is_refused_in_the_same_words_though_it_was_good_before(
    images: Path, spoil: Callable[[Path], None]
) -> None:
    read_decoded(images, resize=False)
    spoil(images)
    expected, told = refusals(images)
    assert told == expected
    assert refusals(images) == (expected, expected), "nothing of it is kept"


def test_a_file_in_the_place_of_a_folder_is_refused_in_the_same_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    expected, told = refusals(tmp_path / "file")
    assert told == expected


@both_layouts
@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_damaged_entry_is_decoded_again_and_mended(images: Path, reads: list[Path], share: float) -> None:
    first = read_decoded(images, resize=False)
    (entry,) = cache.folder().iterdir()
    entry.write_bytes(entry.read_bytes()[: int(entry.stat().st_size * share)])
    assert_same(read_decoded(images, resize=False), first)
    assert_same(read_decoded(images, resize=False), first)
    assert len(reads) == 2


def test_images_are_read_where_nothing_can_be_kept(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="cannot keep anything"):
        assert_same(read_decoded(images, resize=False), read_folder(images, resize=False))
