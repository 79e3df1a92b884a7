"""Order and augmentation: what is drawn, how it is applied, and that nothing but (seed, epoch) decides it."""

import pytest
import torch
from torch import Tensor
from torchvision.transforms import functional as vision

from kdflow.common.seeding import derive_seed
from kdflow.data.base import Split
from kdflow.data.batches import PADDING, Draws, augment, draw, in_order, order, steps_per_epoch, training_batches

SIZE = 32


def some_images(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, SIZE, SIZE), dtype=torch.uint8, generator=generator)


def numbered(count: int) -> Split:
    """Images whose label is their index."""
    return Split(some_images(count), torch.arange(count))


def epoch_of(
    split: Split,
    *,
    seed: int = 0,
    epoch: int = 1,
    batch_size: int = 4,
    mirrored: bool = True,
    at_once: bool = False,
) -> list[Split]:
    return list(
        training_batches(split, seed=seed, epoch=epoch, batch_size=batch_size, mirrored=mirrored, at_once=at_once)
    )


def same(one: list[Split], other: list[Split]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs)


def by_torchvision(image: Tensor, top: int, left: int, flip: bool) -> Tensor:
    crop = vision.crop(vision.pad(image, [PADDING]), top, left, SIZE, SIZE)
    return vision.hflip(crop) if flip else crop


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_augmentation_equals_torchvision_for_every_offset_and_flip(memory_format: torch.memory_format) -> None:
    offsets = torch.arange(2 * PADDING + 1)
    draws = Draws(*torch.cartesian_prod(offsets, offsets, torch.tensor([0, 1])).T)
    draws = Draws(draws.top, draws.left, draws.flip.bool())
    images = some_images(len(draws.top)).contiguous(memory_format=memory_format)
    augmented = augment(images, draws)
    for index, image in enumerate(images):
        top, left, flip = int(draws.top[index]), int(draws.left[index]), bool(draws.flip[index])
        assert torch.equal(augmented[index], by_torchvision(image, top, left, flip)), (top, left, flip)


def test_augmented_images_are_uint8_and_channels_last() -> None:
    augmented = augment(some_images(5), draw(5, 0, 1, mirrored=True))
    assert augmented.dtype == torch.uint8
    assert augmented.is_contiguous(memory_format=torch.channels_last)


def test_the_images_given_are_left_as_they_are() -> None:
    images = some_images(5)
    augment(images, draw(5, 0, 1, mirrored=True))
    assert torch.equal(images, some_images(5))


def test_all_81_offsets_and_both_flips_are_drawn_equally_often() -> None:
    count = 81 * 2 * 400
    draws = draw(count, 0, 1, mirrored=True)
    drawn = torch.stack([draws.top, draws.left, draws.flip.long()]).T.unique(dim=0, return_counts=True)[1]
    assert len(drawn) == 81 * 2
    chi_squared = ((drawn - 400.0) ** 2 / 400).sum()
    assert chi_squared < 240, "161 degrees of freedom: exceeded by chance in 1 of 20,000 seeds"


def test_what_is_not_mirrored_is_never_flipped_and_cropped_the_same() -> None:
    plain, mirrored = draw(200, 0, 1, mirrored=False), draw(200, 0, 1, mirrored=True)
    assert not plain.flip.any()
    assert mirrored.flip.any()
    assert torch.equal(plain.top, mirrored.top)
    assert torch.equal(plain.left, mirrored.left)


def test_batches_of_what_is_not_mirrored_hold_no_flipped_image() -> None:
    split = numbered(12)
    draws = draw(12, 3, 2, mirrored=False)
    for batch in epoch_of(split, seed=3, epoch=2, mirrored=False):
        for image, label in zip(batch.images, batch.labels.tolist(), strict=True):
            expected = by_torchvision(split.images[label], int(draws.top[label]), int(draws.left[label]), False)
            assert torch.equal(image, expected)


def test_an_epoch_is_a_pure_function_of_seed_and_epoch() -> None:
    split = numbered(20)
    first = epoch_of(split, seed=5, epoch=3)
    torch.manual_seed(99)
    torch.rand(7)
    assert same(first, epoch_of(split, seed=5, epoch=3))


@pytest.mark.parametrize(("seed", "epoch"), [(5, 4), (6, 3), (3, 5)])
def test_another_seed_or_epoch_has_another_order_and_other_draws(seed: int, epoch: int) -> None:
    assert not torch.equal(order(50, 5, 3), order(50, seed, epoch))
    assert not torch.equal(draw(50, 5, 3, mirrored=True).top, draw(50, seed, epoch, mirrored=True).top)


def test_drawing_leaves_the_global_generator_alone() -> None:
    state = torch.get_rng_state()
    epoch_of(numbered(8))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize(("count", "batch_size", "sizes"), [(10, 4, [4, 4]), (8, 4, [4, 4]), (3, 4, [3]), (1, 4, [1])])
def test_an_incomplete_batch_is_left_out_unless_it_is_the_first(count: int, batch_size: int, sizes: list[int]) -> None:
    batches = epoch_of(numbered(count), batch_size=batch_size)
    assert [len(batch.labels) for batch in batches] == sizes
    assert steps_per_epoch(count, batch_size) == len(sizes)


def test_every_image_comes_at_most_once_an_epoch_and_sooner_or_later() -> None:
    split = numbered(10)
    seen = [torch.cat([batch.labels for batch in epoch_of(split, epoch=epoch)]) for epoch in range(1, 9)]
    assert all(len(labels.unique()) == len(labels) == 8 for labels in seen)
    assert set(torch.cat(seen).tolist()) == set(range(10))


def test_an_image_keeps_its_label_and_its_draw_whatever_the_batch_size() -> None:
    split = numbered(12)
    small, large = epoch_of(split, batch_size=3), epoch_of(split, batch_size=12)
    assert torch.equal(torch.cat([batch.images for batch in small]), large[0].images)
    assert torch.equal(torch.cat([batch.labels for batch in small]), large[0].labels)


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize(("count", "batch_size"), [(12, 4), (14, 4), (3, 4), (1, 4), (5, 1), (4, 4)])
def test_augmenting_all_batches_at_once_changes_none(count: int, batch_size: int, mirrored: bool) -> None:
    split = numbered(count)
    one_by_one, at_once = (
        epoch_of(split, seed=3, epoch=2, batch_size=batch_size, mirrored=mirrored, at_once=at_once)
        for at_once in (False, True)
    )
    assert same(one_by_one, at_once)
    for ours, theirs in zip(one_by_one, at_once, strict=True):
        assert ours.images.stride() == theirs.images.stride()


def test_evaluation_sees_every_image_once_in_order_and_untouched() -> None:
    split = numbered(10)
    batches = list(in_order(split, 4))
    assert [len(batch.labels) for batch in batches] == [4, 4, 2]
    assert torch.equal(torch.cat([batch.images for batch in batches]), split.images)
    assert torch.equal(torch.cat([batch.labels for batch in batches]), split.labels)


def test_seeds_of_different_parts_differ_and_are_fixed_for_ever() -> None:
    streams = [(0, 1), (1, 0), (0, 11), (0, 1, "order"), (0, "val"), (10, 1), (1, 1)]
    assert len({derive_seed(*stream) for stream in streams}) == len(streams)
    assert all(0 <= derive_seed(*stream) < 2**63 for stream in streams)
    assert derive_seed(0, 1, "order") == 7869624158837258281
