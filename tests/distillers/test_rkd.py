"""Relational distillation: values by hand on three points, invariances, and embeddings that coincide."""

import math

import pytest
import torch
from torch import Tensor

from kdflow.distillers.base import DistillationBatch
from kdflow.distillers.relation.rkd import RelationalDistillation, angle_loss, distance_loss

# A right triangle with sides 3, 4, 5, and one with sides 1, 1, sqrt 2.
TEACHER = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]])
STUDENT = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
LOSSES = [distance_loss, angle_loss]


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) <= 1 else abs(difference) - 0.5


def points(count: int, width: int, seed: int) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_the_distance_loss_is_that_computed_by_hand() -> None:
    theirs = [3 / 4, 4 / 4, 5 / 4]
    mean = (1 + 1 + math.sqrt(2)) / 3
    ours = [1 / mean, 1 / mean, math.sqrt(2) / mean]
    expected = sum(huber(a - b) for a, b in zip(ours, theirs, strict=True)) / 3
    assert distance_loss(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-5)


def test_the_angle_loss_is_that_computed_by_hand() -> None:
    # Cosines at the corners: 0, 3/5, 4/5 and 0, 1/sqrt 2, 1/sqrt 2; each twice among the 27 ordered triplets. The
    # other triplets repeat a point, and their cosines, 0 or 1, are the same for both.
    corners = [(0, 0), (1 / math.sqrt(2), 3 / 5), (1 / math.sqrt(2), 4 / 5)]
    expected = 2 * sum(huber(ours - theirs) for ours, theirs in corners) / 27
    assert angle_loss(STUDENT, TEACHER).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_turning_moving_and_scaling_a_side_changes_nothing(loss) -> None:
    student, teacher = points(6, 4, seed=0), points(6, 5, seed=1)
    turn = torch.linalg.qr(points(4, 4, seed=2)).Q
    value = loss(student, teacher)
    assert value > 1e-3
    for moved in (student @ turn, student + 3, student * 7):
        torch.testing.assert_close(loss(moved, teacher), value, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(loss(student, teacher * 0.1 - 2), value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_equal_relations_cost_nothing_whatever_the_widths(loss) -> None:
    teacher = points(5, 3, seed=0)
    wider = torch.cat([teacher, torch.zeros(5, 4)], dim=1)
    torch.testing.assert_close(loss(wider, teacher), torch.tensor(0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_batch_does_not_matter_but_the_pairing_does(loss) -> None:
    student, teacher = points(6, 4, seed=0), points(6, 4, seed=1)
    shuffled = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(loss(student[shuffled], teacher[shuffled]), loss(student, teacher))
    assert loss(student[shuffled], teacher).item() != pytest.approx(loss(student, teacher).item())


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_against_the_gradient_brings_the_relations_closer(loss) -> None:
    student, teacher = points(6, 4, seed=0).requires_grad_(), points(6, 5, seed=1)
    value = loss(student, teacher)
    (gradient,) = torch.autograd.grad(value, student)
    assert loss(student - 0.1 * gradient, teacher) < value


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("coinciding", [2, 6])
def test_embeddings_that_coincide_give_a_gradient_of_ordinary_size(loss, coinciding: int) -> None:
    student, teacher = points(6, 4, seed=0), points(6, 5, seed=1)
    student[:coinciding] = student[0]
    student.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(student, teacher), student)
    assert gradient.isfinite().all()
    assert gradient.norm() < 100


def test_the_distiller_weighs_both_by_its_knobs_and_flattens() -> None:
    student, teacher = points(4, 6, seed=0), points(4, 8, seed=1)
    ours, theirs = {"embedding": student.view(4, 6, 1, 1)}, {"embedding": teacher.view(4, 2, 4)}
    terms = RelationalDistillation(distance=2.0, angle=3.0)(DistillationBatch(ours, theirs, torch.arange(4)))
    expected = {"distance": 2 * distance_loss(student, teacher), "angle": 3 * angle_loss(student, teacher)}
    torch.testing.assert_close(terms, expected)


def test_the_default_weights_are_those_of_the_paper() -> None:
    assert {name: spec.default for name, spec in RelationalDistillation.settings().items()} == {
        "distance": 25.0,
        "angle": 50.0,
    }
