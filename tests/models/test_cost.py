"""The cost of a model, counted by hand. Element-wise work (normalisation, ReLU, pooling) is not counted."""

import torch
from torch import nn

from kdflow import models
from kdflow.models import cost


def test_parameters_are_counted_by_hand() -> None:
    assert (
        cost.parameters(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(5, 2))) == 8 * 27 + 8 + 16 + 12
    )


def test_the_flops_of_a_convolution_and_a_product_are_counted_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 32 * 32, 10))
    convolution = 2 * (3 * 3 * 3) * 8 * 32 * 32
    product = 2 * 8 * 32 * 32 * 10
    assert cost.forward_flops(model) == convolution + product


def test_the_student_costs_what_its_layers_say() -> None:
    convolutions = 2 * 27 * 16 * 32**2 + 2 * 9 * 16 * 32 * 16**2
    products = 2 * (32 * 8 * 8 * 48 + 48 * 32 + 32 * 10)
    assert cost.forward_flops(models.build("small-cnn", 10, seed=0)) == convolutions + products


def test_counting_leaves_the_model_as_it_was() -> None:
    model = models.build("small-cnn", 10, seed=0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost.forward_flops(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
