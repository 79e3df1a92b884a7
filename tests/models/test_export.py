"""What is registered takes raw images and gives probabilities. How it is saved and loaded is tracking's."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdflow.models.export import Normalised, Servable

MEAN, STD = (0.5, 0.4, 0.3), (0.25, 0.2, 0.1)


def raw(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_raw_images_become_the_probabilities_that_hand_work_gives(tiny: Callable[..., nn.Module], count: int) -> None:
    model = tiny(0, dropout=0.5)
    images = raw(count)
    scaled = images.double() / 255
    normalised = (scaled - torch.tensor(MEAN, dtype=torch.float64)) / torch.tensor(STD, dtype=torch.float64)
    expected = model.eval()(normalised.float().permute(0, 3, 1, 2)).softmax(1)
    probabilities = Servable(model.train(), MEAN, STD)(images)
    torch.testing.assert_close(probabilities, expected)
    torch.testing.assert_close(probabilities.sum(1), torch.ones(count))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bool])
def test_what_are_no_whole_numbers_is_refused_though_it_could_be_computed(
    tiny: Callable[..., nn.Module], dtype: torch.dtype
) -> None:
    with pytest.raises(RuntimeError, match="floats, such as pixels scaled to"):
        Servable(tiny(0), MEAN, STD)(raw(2).to(dtype))


@pytest.mark.parametrize("beyond", [-1, 256])
def test_pixels_that_no_image_has_are_refused(tiny: Callable[..., nn.Module], beyond: int) -> None:
    images = raw(2).long()
    images[1, 2, 3, 0] = beyond
    with pytest.raises(RuntimeError, match="from 0 to 255"):
        Servable(tiny(0), MEAN, STD)(images)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_whole_numbers_of_any_type_are_raw_pixels_to_the_last_bit(
    tiny: Callable[..., nn.Module], dtype: torch.dtype
) -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(1.0 * every.to(dtype), every.float())
    model = Servable(tiny(0), MEAN, STD)
    assert torch.equal(model(raw(2).to(dtype)), model(raw(2)))


def test_an_image_is_judged_alike_alone_and_among_others(tiny: Callable[..., nn.Module]) -> None:
    model, images = Servable(tiny(0), MEAN, STD), raw(7)
    torch.testing.assert_close(torch.cat([model(image[None]) for image in images]), model(images))


def test_the_model_it_is_made_from_stays_untouched(tiny: Callable[..., nn.Module]) -> None:
    model = tiny(0).to(memory_format=torch.channels_last)
    served = Servable(model, MEAN, STD)
    assert model.training
    assert all(weight.requires_grad for weight in model.parameters())
    before = served(raw(2))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1
    assert torch.equal(served(raw(2)), before)
    assert model[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_it_is_in_eval_mode_without_gradients(tiny: Callable[..., nn.Module]) -> None:
    served = Servable(tiny(0, dropout=0.5), MEAN, STD)
    assert not any(module.training for module in served.modules())
    assert not served(raw(2)).requires_grad


def test_black_and_white_are_normalised_to_the_ends() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 4, 4)
    ends = Normalised(MEAN, STD)(images)[:, :, 0, 0]
    torch.testing.assert_close(ends, torch.tensor([[-2.0, -2.0, -3.0], [2.0, 3.0, 7.0]]))
