"""The models of the study are what the mission says, and any name gives a model or a one-line refusal.

How well they learn is measured in studies, not here.
"""

from collections import Counter

import pytest
import torch
from torch import nn

from kdflow import models
from kdflow.common.errors import UsageError
from kdflow.models import cost
from kdflow.models.base import models as registry

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "parameters"), [("alexnet", 3_017_002), ("small-cnn", 105_386)])
def test_a_model_has_as_many_parameters_as_documented(name: str, parameters: int) -> None:
    assert cost.parameters(models.build(name, 10, seed=0)) == parameters


def test_the_student_has_at_most_a_twentieth_of_the_teachers_parameters() -> None:
    student, teacher = (cost.parameters(models.build(name, 10, seed=0)) for name in ("small-cnn", "alexnet"))
    assert student <= 0.05 * teacher


def layers(name: str) -> Counter[type]:
    return Counter(type(module) for module in models.build(name, 10, seed=0).modules())


def test_the_teacher_is_an_alexnet() -> None:
    kinds = layers("alexnet")
    assert [kinds[kind] for kind in (nn.Conv2d, nn.MaxPool2d, nn.Linear, nn.Dropout)] == [5, 3, 3, 2]


def test_the_teacher_equals_the_one_that_pools_after_its_relu_to_the_last_bit() -> None:
    ours, textbook = (models.build("alexnet", 10, seed=0) for _ in range(2))
    layers = list(textbook.features)
    for index in [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]:
        layers[index], layers[index + 1] = layers[index + 1], layers[index]
    textbook.features = nn.Sequential(*layers)
    assert [type(layer) for layer in textbook.features[:4]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d]
    for model in (ours, textbook):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            model(IMAGES).square().sum().backward()
    for one, other in zip(ours.parameters(), textbook.parameters(), strict=True):
        assert one.grad is not None
        assert torch.equal(one.grad, other.grad)


def test_the_student_has_two_blocks_and_three_linear_layers() -> None:
    kinds = layers("small-cnn")
    assert [kinds[kind] for kind in (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.Linear)] == [2, 2, 2, 3]
    features = [type(module) for module in models.build("small-cnn", 10, seed=0).features]
    assert features == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, nn.MaxPool2d] * 2


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("name", [name for name in registry if name != "alexnet-imagenet"])
def test_a_model_gives_one_logit_a_class_and_comes_in_train_mode(name: str, classes: int) -> None:
    model = models.build(name, classes, seed=0)
    assert model.training
    logits = model(IMAGES)
    assert logits.shape == (2, classes)
    assert (logits.sum(1) - 1).abs().max() > 1e-3, "logits, not probabilities"


def test_alexnet_at_its_own_size_takes_the_same_images() -> None:
    model = models.build("alexnet-imagenet", 7, seed=0).eval()
    with torch.no_grad():
        assert model(IMAGES[:1]).shape == (1, 7)


@pytest.mark.parametrize("name", ["alexnet", "small-cnn", "torchvision:squeezenet1_1"])
def test_weights_follow_from_the_seed_alone(name: str) -> None:
    torch.manual_seed(1)
    one = models.build(name, 10, seed=5).state_dict()
    torch.manual_seed(2)
    same, other = (models.build(name, 10, seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_building_a_model_leaves_the_callers_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    models.build("small-cnn", 10, seed=5)
    assert torch.equal(torch.get_rng_state(), before)


def test_building_a_model_leaves_its_statistics_as_new() -> None:
    for name, value in models.build("small-cnn", 10, seed=0).named_buffers():
        assert torch.equal(value, torch.full_like(value, 1 if name.endswith("running_var") else 0)), name


def test_any_torchvision_classifier_can_be_named() -> None:
    assert models.build("torchvision:resnet18", 10, seed=0).eval()(IMAGES).shape == (2, 10)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("alexnt", r"^unknown model 'alexnt': did you mean 'alexnet'\? choose one of .*small-cnn"),
        (
            "torchvision:resnet81",
            r"^torchvision has no classification model 'resnet81': did you mean torchvision:resnet18\?$",
        ),
        ("torchvision:fcn_resnet50", r"^torchvision has no classification model 'fcn_resnet50'"),
        ("torchvision:", r"^torchvision has no classification model ''"),
        ("torchvision:alexnet", r"^model 'torchvision:alexnet' cannot take 32x32 images: "),
        ("torchvision:vit_b_32", r"^model 'torchvision:vit_b_32' cannot take 32x32 images: "),
    ],
)
def test_a_name_that_does_not_serve_is_refused_in_one_line(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        models.build(name, 10, seed=0)
    assert caught.value.exit_code == 2
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_with_other_than_one_logit_a_class_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._entries, "flat", lambda classes: nn.Flatten())
    with pytest.raises(UsageError, match="'flat' does not give one logit for each of 10 classes"):
        models.build("flat", 10, seed=0)
