"""Hard targets: the cross-entropy with the teacher's choice, and nothing else of the teacher."""

import math

import pytest
import torch
from torch import Tensor

from kdflow.distillers.base import DistillationBatch
from kdflow.distillers.response.hard_targets import HardTargets
from kdflow.distillers.response.soft_targets import soft_target_loss

STUDENT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
TEACHER = torch.tensor([[9.0, 1.0, 2.0], [0.1, 0.2, 0.3]])


def hard_target_loss(student: Tensor, teacher: Tensor) -> Tensor:
    return HardTargets()(DistillationBatch({"logits": student}, {"logits": teacher}, torch.arange(len(student))))


def test_the_value_is_that_computed_by_hand() -> None:
    first = math.log(math.e + 2) - 1
    second = math.log(math.e**2 + 2) - 0
    assert hard_target_loss(STUDENT, TEACHER).item() == pytest.approx((first + second) / 2)


def test_only_the_teachers_choice_counts() -> None:
    value = hard_target_loss(STUDENT, TEACHER)
    assert torch.equal(hard_target_loss(STUDENT, TEACHER * 10 + 5), value)
    assert not torch.equal(hard_target_loss(STUDENT, -TEACHER), value)


def test_it_is_the_limit_of_soft_targets_for_a_certain_teacher() -> None:
    certain = TEACHER * 1e4
    hard = hard_target_loss(STUDENT, certain)
    torch.testing.assert_close(hard, soft_target_loss(STUDENT, certain, 1.0))
