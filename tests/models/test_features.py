"""Taps give a model's inner activations without changing the model.

Modules that are called several times in one forward are not covered.
"""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from kdflow import models
from kdflow.common.errors import UsageError
from kdflow.models.features import STAGES, Tapped, paired_stages, stages

IMAGES = torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def student() -> nn.Module:
    return models.build("small-cnn", 10, seed=0).eval()


def hooks(model: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


def test_logits_are_what_the_model_returns_and_come_unasked(student: nn.Module) -> None:
    activations = Tapped(student, ())(IMAGES)
    assert list(activations) == ["logits"]
    assert torch.equal(activations["logits"], student(IMAGES))


def test_the_embedding_is_what_the_last_linear_layer_gets(student: nn.Module) -> None:
    activations = Tapped(student, ["embedding", "logits"])(IMAGES)
    assert activations["embedding"].shape == (3, 32)
    assert torch.equal(student.classifier[-1](activations["embedding"]), activations["logits"])


def test_a_named_module_gives_its_output(student: nn.Module) -> None:
    activations = Tapped(student, ["features.3", "features"])(IMAGES)
    assert torch.equal(activations["features.3"], student.features[:4](IMAGES))
    assert torch.equal(activations["features"], student.features(IMAGES))


def test_what_is_tapped_is_not_overwritten_by_the_layer_that_follows(student: nn.Module) -> None:
    normalised = student.features[:2](IMAGES)
    assert normalised.min() < 0
    assert torch.equal(Tapped(student, ["features.1"])(IMAGES)["features.1"], normalised)


def test_tapping_changes_neither_logits_nor_gradients(student: nn.Module) -> None:
    student(IMAGES).square().sum().backward()
    plain = [weight.grad for weight in student.parameters()]
    student.zero_grad()
    Tapped(student, ["embedding", "features.1"])(IMAGES)["logits"].square().sum().backward()
    assert all(torch.equal(old, weight.grad) for old, weight in zip(plain, student.parameters(), strict=True))


def test_gradients_flow_through_what_is_tapped(student: nn.Module) -> None:
    Tapped(student, ["features.3"])(IMAGES)["features.3"].sum().backward()
    assert student.features[0].weight.grad is not None
    assert student.classifier[0].weight.grad is None


def test_activations_are_float32_whatever_the_model_computes_in(student: nn.Module) -> None:
    tapped = Tapped(student, ["embedding", "features.0"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        activations = tapped(torch.randn(2, 3, 32, 32))
    assert {activation.dtype for activation in activations.values()} == {torch.float32}


def test_closing_takes_the_hooks_off(student: nn.Module) -> None:
    tapped = Tapped(student, ["embedding", "features.3"])
    assert hooks(student) == 2
    tapped.close()
    assert hooks(student) == 0


def test_two_taps_on_one_model_do_not_disturb_each_other(student: nn.Module) -> None:
    one, other = Tapped(student, ["embedding"]), Tapped(student, ["features.3"])
    assert set(one(IMAGES)) == {"logits", "embedding"}
    other.close()
    assert set(one(IMAGES)) == {"logits", "embedding"}


def test_each_forward_has_its_own_activations(student: nn.Module) -> None:
    tapped = Tapped(student, ["embedding"])
    first, second = tapped(IMAGES[:1]), tapped(IMAGES[1:])
    assert (len(first["embedding"]), len(second["embedding"])) == (1, 2)


def test_models_of_others_are_tapped_without_a_change() -> None:
    model = models.build("torchvision:resnet18", 10, seed=0).eval()
    with torch.no_grad():
        activations = Tapped(model, ["embedding", "layer3", "layer3.0.conv1"])(IMAGES)
    assert activations["embedding"].shape == (3, 512)
    assert activations["layer3"].shape == (3, 256, 2, 2)


@pytest.mark.parametrize("name", ["features.99", "head", "features..1"])
def test_a_module_that_is_not_there_is_a_one_line_error(student: nn.Module, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Tapped(student, [name])
    assert str(caught.value) == f"SmallCNN has no module {name!r} to take activations from"


def test_a_model_without_linear_layers_has_no_embedding(tiny: Callable[..., nn.Module]) -> None:
    with pytest.raises(UsageError, match="no linear layer, so it has no embedding"):
        Tapped(nn.Sequential(nn.Conv2d(3, 4, 32), nn.Flatten()), ["embedding"])


# Sizes and channels of the stages at 32x32, from the architectures' own tables.
SIZES = {
    "small-cnn": [(32, 16), (16, 32), (8, 32)],
    "alexnet": [(32, 32), (16, 64), (8, 128), (4, 128)],
    "torchvision:resnet18": [(16, 64), (8, 64), (4, 128), (2, 256), (1, 512)],
    "torchvision:vgg11": [(32, 64), (16, 128), (8, 256), (4, 512), (2, 512), (1, 512)],
    # Of dense blocks the transition that follows, of inverted residuals the expansion of the block that shrinks.
    "torchvision:densenet121": [(16, 64), (8, 128), (4, 256), (2, 512), (1, 1024)],
    "torchvision:mobilenet_v2": [(16, 96), (8, 144), (4, 192), (2, 576), (1, 1280)],
    "torchvision:mobilenet_v3_small": [(16, 16), (8, 72), (4, 96), (2, 288), (1, 576)],
    "torchvision:efficientnet_b0": [(16, 96), (8, 144), (4, 240), (2, 672), (1, 1280)],
}


@pytest.mark.parametrize("name", SIZES)
def test_stages_are_the_last_activation_at_each_size(name: str) -> None:
    model = models.build(name, 10, seed=0)
    paths = stages(model)
    assert model.training
    assert hooks(model) == 0
    activations = Tapped(model.eval(), [STAGES])(IMAGES)
    found = [activations[f"stage.{number}"].shape for number in range(len(paths))]
    assert [(shape[2], shape[1]) for shape in found] == SIZES[name]
    assert f"stage.{len(paths)}" not in activations


def test_probing_for_stages_leaves_statistics_and_random_numbers_alone() -> None:
    model = models.build("torchvision:resnet18", 10, seed=0)
    before, noise = [value.clone() for value in model.state_dict().values()], torch.get_rng_state()
    stages(model)
    assert all(torch.equal(old, new) for old, new in zip(before, model.state_dict().values(), strict=True))
    assert torch.equal(noise, torch.get_rng_state())


def test_stages_of_equal_size_are_paired_and_else_the_deepest() -> None:
    def seen(name: str) -> dict[str, torch.Tensor]:
        return Tapped(models.build(name, 10, seed=0).eval(), [STAGES])(IMAGES)

    small, alexnet, resnet = seen("small-cnn"), seen("alexnet"), seen("torchvision:resnet18")
    assert paired_stages(small, alexnet) == [(f"stage.{number}", f"stage.{number}") for number in range(3)]
    assert paired_stages(small, resnet) == [("stage.1", "stage.0"), ("stage.2", "stage.1")]
    unequal = {"stage.0": torch.zeros(1, 2, 5, 5), "stage.1": torch.zeros(1, 2, 3, 3), "logits": torch.zeros(1, 2)}
    assert paired_stages(unequal, alexnet) == [("stage.1", "stage.3")]


def test_a_model_without_feature_maps_has_no_stages() -> None:
    with pytest.raises(UsageError, match="no feature maps, so it has no stages"):
        stages(nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10)))
