"""Folders of images: which layout they have, class folders, and what a user is told of files in the wrong place.

Not covered: folders that may not be read, as tests may run as a user who may read everything.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from kdflow.config import DataConfig
from kdflow.data import load
from kdflow.data.folder import read_folder
from tests.data.image_folders import NAMES, a_class_folder, a_parquet_folder, a_shard, pixels, refusal


def test_class_folders_hold_the_images_in_the_order_of_sorted_names(tmp_path: Path) -> None:
    raw = read_folder(a_class_folder(tmp_path), resize=False)
    expected = torch.from_numpy(np.stack([pixels(i) for i in (0, 2, 4, 1, 3, 5)])).permute(0, 3, 1, 2)
    assert torch.equal(raw.train.images, expected)
    assert raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.classes == NAMES


@pytest.mark.parametrize("make", [a_parquet_folder, a_class_folder])
def test_images_are_channels_last_in_memory(make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert read_folder(make(tmp_path), resize=False).train.images.is_contiguous(memory_format=torch.channels_last)


def test_the_folder_itself_names_the_data_set(tmp_path: Path) -> None:
    folder = a_parquet_folder(tmp_path / "pets")
    data = load(DataConfig(dataset=str(folder), val_fraction=0.34))
    assert (data.name, len(data.train), len(data.val), len(data.test)) == ("pets", 3, 3, 2)


def remove(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()
    for inner in sorted(folder.rglob("*"), reverse=True):
        inner.rmdir()
    folder.rmdir()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'gone'}" in refusal(tmp_path / "gone")


def test_an_empty_folder_is_told_both_layouts(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    for part in (str(tmp_path), "train-*.parquet", "test-*.parquet", "train/<class>/*.png", "test/<class>/*.png"):
        assert part in message


def test_class_folders_without_a_test_part_are_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "test")
    assert f"{tmp_path} has no test part" in refusal(tmp_path)


def test_a_test_part_without_images_is_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "test")
    (tmp_path / "test").mkdir()
    assert "has no images" in refusal(tmp_path)


def test_a_training_part_without_class_folders_is_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "train")
    (tmp_path / "train").mkdir()
    assert "train/<class>/*.png" in refusal(tmp_path)


def test_a_training_folder_without_images_is_named(tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "train" / "eel").mkdir()
    assert f"{tmp_path / 'train' / 'eel'} has no images" in refusal(tmp_path)


def test_a_test_class_that_training_lacks_is_named(tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "test" / "eel").mkdir()
    message = refusal(tmp_path)
    assert str(tmp_path / "test" / "eel") in message
    assert "cat, dog" in message


@pytest.mark.parametrize("stranger", ["notes.txt", "4.gif", "more"])
def test_what_is_no_image_is_named_instead_of_passed_over(stranger: str, tmp_path: Path) -> None:
    path = a_class_folder(tmp_path) / "train" / "dog" / stranger
    path.write_text("") if "." in stranger else path.mkdir()
    assert f"{path} is no image" in refusal(tmp_path)


def keep_only(folder: Path, name: str) -> None:
    for part in ("train", "test"):
        for path in (folder / part).iterdir():
            if path.name != name:
                remove(path)


def test_a_single_class_is_refused_with_what_was_found(tmp_path: Path) -> None:
    keep_only(a_class_folder(tmp_path), "cat")
    message = refusal(tmp_path)
    for part in (f"{tmp_path / 'train'} holds one class, cat", "two or more train/<class>/*.png", "sort its images"):
        assert part in message


def test_a_single_class_that_holds_the_classes_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    a_class_folder(tmp_path)
    for part in ("train", "test"):
        (tmp_path / part).rename(tmp_path / "moved")
        (tmp_path / part).mkdir()
        (tmp_path / "moved").rename(tmp_path / part / "images")
    message = refusal(tmp_path)
    assert "one class, images" in message
    assert f"its folders (cat, dog) are the classes, move them up into {tmp_path / 'train'}" in message


@pytest.mark.parametrize("make", [a_parquet_folder, a_class_folder])
def test_a_folder_above_or_below_the_one_that_is_meant_names_it(make: Callable[[Path], Path], tmp_path: Path) -> None:
    meant = make(tmp_path / "above" / "pets")
    below = meant / "train"
    below.mkdir(exist_ok=True)
    for given in (meant.parent, below):
        assert f"{meant} looks like one" in refusal(given)


def test_a_single_class_is_refused_before_any_image_is_decoded(tmp_path: Path) -> None:
    for make, name in ((a_class_folder, "train/cat/0.png"), (a_parquet_folder, "")):
        folder = make(tmp_path / make.__name__)
        if name:
            keep_only(folder, "cat")
            (folder / name).write_bytes(b"no image")
        else:
            a_shard(folder / "train-00000-of-00001.parquet", [b"no image"] * 3, [1] * 3)
        assert "a single class cannot be told from another" in refusal(folder)


def test_classes_without_test_images_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    remove(a_class_folder(tmp_path) / "test" / "dog")
    data = load(DataConfig(dataset=str(tmp_path), val_fraction=0.34))
    assert set(data.test.labels.tolist()) == {0}
    assert "Warning: the test part has no images of dog" in capsys.readouterr().out


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    digest = read_folder(a_class_folder(tmp_path), resize=False).digest()
    (tmp_path / "train" / "dog" / ".DS_Store").write_text("")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "test" / ".cache").mkdir()
    assert read_folder(tmp_path, resize=False).digest() == digest
