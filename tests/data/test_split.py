"""From raw images to a data set: the split, its statistics, its digests, and what raw data may be."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kdflow.common.errors import DataError, UsageError
from kdflow.config import DataConfig
from kdflow.data import Dataset, load
from kdflow.data.base import RawData, Split, sources
from kdflow.data.batches import augment, draw
from kdflow.data.dataset import channel_statistics, split_indices

CLASSES = ("cat", "dog", "eel")


def some(count: int, seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return Split(images, torch.arange(count) % len(CLASSES))


def raw_data(*, mirrored: bool = True) -> RawData:
    return RawData(some(60, 1), some(9, 2), CLASSES, mirrored=mirrored)


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> RawData:
    """Raw data that `load` finds under the name "tiny"."""
    raw = raw_data()
    monkeypatch.setitem(sources._entries, "tiny", lambda config: raw)
    return raw


def tiny(**options: Any) -> Dataset:
    return load(DataConfig(dataset="tiny", **options))


@pytest.mark.parametrize("fraction", [0.05, 0.1, 0.5])
def test_the_split_is_disjoint_complete_and_sorted(fraction: float) -> None:
    train, val = split_indices(torch.arange(200) % 4, DataConfig(val_fraction=fraction), CLASSES)
    assert len(val) == 200 * fraction
    assert torch.equal(torch.cat([train, val]).sort().values, torch.arange(200))
    assert torch.equal(train, train.sort().values)
    assert torch.equal(val, val.sort().values)


def test_the_split_is_stratified() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    train, val = split_indices(labels, DataConfig(val_fraction=0.1), CLASSES)
    assert labels[val].bincount().tolist() == [10, 5, 1]
    assert labels[train].bincount().tolist() == [90, 45, 9]


def test_the_split_depends_on_the_split_seed_only() -> None:
    labels = torch.arange(200) % 4
    first = split_indices(labels, DataConfig(split_seed=3), CLASSES)[1]
    torch.manual_seed(1)
    again = split_indices(labels, DataConfig(split_seed=3, augment_val=False, dataset="digits"), CLASSES)[1]
    assert torch.equal(first, again)
    assert not torch.equal(first, split_indices(labels, DataConfig(split_seed=4), CLASSES)[1])


@pytest.mark.parametrize(
    ("counts", "options", "told"),
    [
        pytest.param([30, 1, 9], {}, "class dog has 1 of 40 training images", id="one image"),
        pytest.param([30, 1, 9], {}, "add some, or leave the class out", id="no fraction helps one image"),
        pytest.param([1], {}, "class cat has 1 of 1 training images", id="one image in all"),
        pytest.param([3, 2, 4], {}, "class dog has 2 of 9 training images", id="fewer images held out than classes"),
        pytest.param([500, 400, 3], {"val_fraction": 0.01}, "class eel has 3 of 903", id="none of a class held out"),
        pytest.param([500, 400, 3], {"val_fraction": 0.01}, "set --val-fraction to 0.34", id="a fraction that helps"),
    ],
)
def test_a_class_with_too_few_images_is_named_with_their_number_and_a_remedy(
    counts: list[int], options: dict[str, Any], told: str
) -> None:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    with pytest.raises(DataError) as failure:
        split_indices(labels, DataConfig(**options), CLASSES)
    assert told in str(failure.value)
    assert f"at --val-fraction {DataConfig(**options).val_fraction:g}" in str(failure.value)
    assert "\n" not in str(failure.value)


def split_or_advice(counts: list[int], fraction: float) -> tuple[list[int], list[int]] | str:
    """The labels of both parts of classes of so many images, or why they are not split."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    try:
        train, val = split_indices(labels, DataConfig(val_fraction=fraction), CLASSES)
    except DataError as error:
        return str(error)
    return labels[train].tolist(), labels[val].tolist()


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=3), fraction=st.floats(0.01, 0.5))
def test_every_class_is_in_both_parts_or_the_advised_fraction_brings_it_there(
    counts: list[int], fraction: float
) -> None:
    parts = split_or_advice(counts, fraction)
    if isinstance(parts, str) and (advised := re.search(r"set --val-fraction to ([\d.]+)$", parts)):
        parts = split_or_advice(counts, float(advised[1]))
    if isinstance(parts, str):
        assert min(counts) == 1
        assert parts.endswith("leave the class out")
    else:
        assert all(sorted(set(part)) == list(range(len(counts))) for part in parts)


def test_validation_is_drawn_once_and_for_all(source: RawData) -> None:
    first, second = tiny(), tiny()
    assert torch.equal(first.val.images, second.val.images)
    assert first.split_digest == second.split_digest


def test_validation_images_are_the_held_out_ones_cropped_and_flipped(source: RawData) -> None:
    clean, augmented = tiny(augment_val=False).val, tiny().val
    assert torch.equal(clean.labels, augmented.labels)
    assert not torch.equal(clean.images, augmented.images)
    draws = draw(len(clean), 0, "val", mirrored=True)
    assert torch.equal(augmented.images, augment(clean.images, draws))


def test_without_augmentation_train_and_validation_are_the_clean_images(source: RawData) -> None:
    data = tiny(augment_val=False)
    for split, indices in zip(
        (data.train, data.val), split_indices(source.train.labels, DataConfig(), CLASSES), strict=True
    ):
        assert torch.equal(split.images, source.train.images[indices])
        assert torch.equal(split.labels, source.train.labels[indices])


def test_what_is_not_mirrored_is_not_mirrored_in_validation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sources._entries, "tiny", lambda config: raw_data(mirrored=False))
    clean, augmented = tiny(augment_val=False).val, tiny().val
    draws = draw(len(clean), 0, "val", mirrored=False)
    assert torch.equal(augmented.images, augment(clean.images, draws))


def test_the_test_split_is_clean(source: RawData) -> None:
    data = tiny()
    assert torch.equal(data.test.images, source.test.images)
    assert torch.equal(data.test.labels, source.test.labels)


def test_mean_and_std_are_those_of_the_training_split_only(source: RawData) -> None:
    data = tiny()
    scaled = source.train.images[split_indices(source.train.labels, DataConfig(), CLASSES)[0]].double() / 255
    assert data.mean == pytest.approx(scaled.mean((0, 2, 3)).tolist(), rel=1e-12)
    assert data.std == pytest.approx(scaled.std((0, 2, 3), correction=0).tolist(), rel=1e-12)
    whole = source.train.images.double() / 255
    assert data.mean != pytest.approx(whole.mean((0, 2, 3)).tolist(), rel=1e-6)


def test_a_channel_of_one_colour_does_not_divide_by_zero() -> None:
    mean, std = channel_statistics(torch.full((2, 3, 32, 32), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert std == pytest.approx((1 / 255,) * 3)


def one_pixel(raw: RawData, part: str) -> RawData:
    split: Split = getattr(raw, part)
    images = split.images.clone()
    images[-1, -1, -1, -1] ^= 1
    return replace(raw, **{part: Split(images, split.labels)})


def one_label(raw: RawData, part: str) -> RawData:
    split: Split = getattr(raw, part)
    labels = split.labels.clone()
    labels[0] = 1
    return replace(raw, **{part: Split(split.images, labels)})


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("change", [one_pixel, one_label])
def test_the_digest_changes_with_one_pixel_or_label(change: Callable[[RawData, str], RawData], part: str) -> None:
    assert change(raw_data(), part).digest() != raw_data().digest()


@pytest.mark.parametrize("classes", [("cat", "dog", "Eel"), ("cat", "eel", "dog"), (*CLASSES, "fox")])
def test_the_digest_changes_with_the_class_names(classes: tuple[str, ...]) -> None:
    assert replace(raw_data(), classes=classes).digest() != raw_data().digest()


def test_the_digest_changes_when_an_image_moves_from_training_to_test() -> None:
    raw = raw_data()
    whole = Split(torch.cat([raw.train.images, raw.test.images]), torch.cat([raw.train.labels, raw.test.labels]))
    moved = RawData(whole.select(torch.arange(59)), whole.select(torch.arange(59, 69)), CLASSES)
    assert moved.digest() != raw.digest()


def test_the_digest_is_that_of_the_images_not_of_their_place_in_memory() -> None:
    raw = raw_data()
    images = raw.train.images.contiguous(memory_format=torch.channels_last)
    assert replace(raw, train=Split(images, raw.train.labels)).digest() == raw.digest()


@pytest.mark.parametrize("options", [{"split_seed": 1}, {"val_fraction": 0.2}, {"augment_val": False}])
def test_another_split_changes_the_split_digest_not_the_data_digest(source: RawData, options: dict[str, Any]) -> None:
    assert tiny(**options).split_digest != tiny().split_digest
    assert tiny(**options).digest == tiny().digest


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [-100, -1, 3, 10])
def test_a_label_out_of_range_names_the_first_bad_image(label: int, part: str) -> None:
    split = some(9, 3)
    split.labels[[4, 7]] = label
    with pytest.raises(DataError, match=f"{part} label {label} at image 4: expected 0 to 2"):
        replace(raw_data(), **{part: split})


IMAGES, LABELS = some(6, 4).images, some(6, 4).labels


@pytest.mark.parametrize(
    ("images", "labels", "found"),
    [
        pytest.param(IMAGES.float() / 255, LABELS, "got float32 [6, 3, 32, 32]", id="float images"),
        pytest.param(IMAGES[:, :1], LABELS, "got uint8 [6, 1, 32, 32]", id="one channel"),
        pytest.param(IMAGES[:, :, :28, :28], LABELS, "got uint8 [6, 3, 28, 28]", id="28x28"),
        pytest.param(IMAGES.permute(0, 2, 3, 1), LABELS, "got uint8 [6, 32, 32, 3]", id="channels last"),
        pytest.param(IMAGES[:5], LABELS, "got uint8 [5, 3, 32, 32]", id="fewer images than labels"),
        pytest.param(IMAGES[0], LABELS, "got uint8 [3, 32, 32]", id="one image"),
        pytest.param(IMAGES, LABELS.int(), "got int32 [6]", id="int32 labels"),
        pytest.param(IMAGES, LABELS.float(), "got float32 [6]", id="float labels"),
        pytest.param(IMAGES, LABELS[:, None], "got int64 [6, 1]", id="labels as a column"),
        pytest.param(IMAGES, torch.tensor(1), "got int64 []", id="one label"),
        pytest.param(IMAGES[:0], LABELS[:0], "has no images", id="zero images"),
    ],
)
def test_what_is_no_labelled_image_set_is_refused_by_what_it_is(images: Tensor, labels: Tensor, found: str) -> None:
    with pytest.raises(DataError) as failure:
        replace(raw_data(), train=Split(images, labels))
    assert found in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_embedded_digits_are_whole_and_never_mirrored() -> None:
    data = load(DataConfig(dataset="digits"))
    assert (len(data.train) + len(data.val), len(data.test), len(data.classes)) == (1437, 360, 10)
    assert not data.mirrored
    assert data.digest == load(DataConfig(dataset="digits", split_seed=7)).digest


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'cifar100'.*digits"):
        load(DataConfig(dataset="cifar1000"))


def test_a_missing_folder_is_a_data_error_not_an_unknown_name() -> None:
    with pytest.raises(DataError, match="no folder"):
        load(DataConfig(dataset="./no-such-folder"))


@pytest.mark.parametrize("classes", [("cat",), CLASSES])
def test_raw_data_of_one_class_are_refused_whatever_their_source(classes: tuple[str, ...]) -> None:
    alike = replace(some(60, 1), labels=torch.zeros(60, dtype=torch.int64))
    with pytest.raises(DataError, match="all training images are of one class, cat"):
        RawData(alike, alike, classes)


def test_a_test_part_may_be_of_one_class() -> None:
    alike = replace(some(9, 1), labels=torch.zeros(9, dtype=torch.int64))
    assert len(RawData(some(60, 1), alike, CLASSES).test) == 9
