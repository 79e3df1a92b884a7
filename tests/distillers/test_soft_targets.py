"""Soft targets: values by hand, gradient, invariances. Accuracy gained by them is a study's business."""

import math

import pytest
import torch
from torch.nn import functional

from kdflow.distillers.base import DistillationBatch
from kdflow.distillers.response.soft_targets import SoftTargets, soft_target_loss

STUDENT = [[1.0, -0.5, 2.0], [0.3, 0.2, -1.0]]
TEACHER = [[2.0, 0.0, -1.0], [-0.7, 1.5, 0.4]]


def softmax(logits: list[float], temperature: float) -> list[float]:
    powers = [math.exp(logit / temperature) for logit in logits]
    return [power / sum(powers) for power in powers]


def by_hand(student: list[list[float]], teacher: list[list[float]], temperature: float) -> float:
    total = 0.0
    for ours, theirs in zip(student, teacher, strict=True):
        p, q = softmax(theirs, temperature), softmax(ours, temperature)
        total -= sum(a * math.log(b) for a, b in zip(p, q, strict=True))
    return temperature**2 * total / len(student)


def logits(*size: int, seed: int) -> torch.Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed)) * 3


def divergence(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """T^2 times KL(teacher || student), in the words of torch."""
    ours, theirs = (student / temperature).log_softmax(1), (teacher / temperature).softmax(1)
    return functional.kl_div(ours, theirs, reduction="batchmean") * temperature**2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_value_is_that_computed_by_hand(temperature: float) -> None:
    value = soft_target_loss(torch.tensor(STUDENT), torch.tensor(TEACHER), temperature)
    assert value.item() == pytest.approx(by_hand(STUDENT, TEACHER, temperature), rel=1e-5)


def test_the_value_is_the_divergence_plus_the_teachers_entropy() -> None:
    student, teacher = logits(5, 7, seed=0), logits(5, 7, seed=1)
    probabilities = (teacher / 4).softmax(1)
    entropy = -(probabilities * probabilities.log()).sum(1).mean() * 4**2
    torch.testing.assert_close(soft_target_loss(student, teacher, 4.0), divergence(student, teacher, 4.0) + entropy)


@pytest.mark.parametrize("temperature", [1.0, 4.0, 20.0])
def test_the_gradient_is_that_of_the_divergence(temperature: float) -> None:
    student, teacher = logits(6, 10, seed=0).requires_grad_(), logits(6, 10, seed=1)
    (ours,) = torch.autograd.grad(soft_target_loss(student, teacher, temperature), student)
    (theirs,) = torch.autograd.grad(divergence(student, teacher, temperature), student)
    torch.testing.assert_close(ours, theirs)


def test_the_gradient_vanishes_where_student_and_teacher_agree() -> None:
    teacher = logits(6, 10, seed=1)
    student = teacher.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(soft_target_loss(student, teacher, 4.0), student)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)


@pytest.mark.parametrize("shift", [-50.0, 50.0])
def test_a_constant_added_to_logits_changes_nothing(shift: float) -> None:
    student, teacher = logits(4, 10, seed=0), logits(4, 10, seed=1)
    value = soft_target_loss(student, teacher, 4.0)
    torch.testing.assert_close(soft_target_loss(student + shift, teacher, 4.0), value)
    torch.testing.assert_close(soft_target_loss(student, teacher + shift, 4.0), value)


def test_the_mean_is_over_the_batch_and_not_over_the_classes() -> None:
    student, teacher = logits(1, 10, seed=0), logits(1, 10, seed=1)
    one = soft_target_loss(student, teacher, 1.0)
    torch.testing.assert_close(soft_target_loss(student.repeat(8, 1), teacher.repeat(8, 1), 1.0), one)
    uniform = soft_target_loss(torch.zeros(3, 10), torch.zeros(3, 10), 1.0)
    assert uniform.item() == pytest.approx(math.log(10))


def test_student_and_teacher_are_not_interchangeable() -> None:
    student, teacher = logits(4, 3, seed=0), logits(4, 3, seed=1)
    assert soft_target_loss(student, teacher, 2.0).item() != pytest.approx(
        soft_target_loss(teacher, student, 2.0).item()
    )


def test_the_gradient_keeps_its_size_as_the_temperature_grows() -> None:
    teacher, norms = logits(8, 10, seed=1), []
    for temperature in (20.0, 100.0):
        student = logits(8, 10, seed=0).requires_grad_()
        (gradient,) = torch.autograd.grad(soft_target_loss(student, teacher, temperature), student)
        norms.append(gradient.norm().item())
    assert norms[1] == pytest.approx(norms[0], rel=0.2)


@pytest.mark.parametrize("shape", [(1, 3), (2, 1), (3,), (2, 3, 1)])
def test_shapes_that_would_broadcast_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        soft_target_loss(torch.zeros(2, 3), torch.zeros(shape), 1.0)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_value_and_gradient_are_finite_for_large_logits(temperature: float, dtype: torch.dtype) -> None:
    student = (logits(4, 10, seed=0) * 100).to(dtype).requires_grad_()
    loss = soft_target_loss(student, (logits(4, 10, seed=1) * 100).to(dtype), temperature)
    loss.backward()
    assert loss.isfinite()
    assert student.grad is not None
    assert student.grad.isfinite().all()


def test_the_distiller_is_the_function_at_its_temperature() -> None:
    student, teacher = logits(4, 10, seed=0), logits(4, 10, seed=1)
    batch = DistillationBatch({"logits": student}, {"logits": teacher}, torch.arange(4))
    assert torch.equal(SoftTargets(3.0)(batch), soft_target_loss(student, teacher, 3.0))
