"""Hard targets: the cross-entropy with the teacher's choice, and nothing else of the teacher."""

import math

import pytest
import torch

from kdflow.distillers.response.hard_targets import HardTargets
from kdflow.distillers.response.soft_targets import soft_target_loss

STUDENT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
TEACHER = torch.tensor([[9.0, 1.0, 2.0], [0.1, 0.2, 0.3]])


def test_the_value_is_that_computed_by_hand() -> None:
    first = math.log(math.e + 2) - 1
    second = math.log(math.e**2 + 2) - 0
    assert HardTargets()({"logits": STUDENT}, {"logits": TEACHER}).item() == pytest.approx((first + second) / 2)


def test_only_the_teachers_choice_counts() -> None:
    value = HardTargets()({"logits": STUDENT}, {"logits": TEACHER})
    assert torch.equal(HardTargets()({"logits": STUDENT}, {"logits": TEACHER * 10 + 5}), value)
    assert not torch.equal(HardTargets()({"logits": STUDENT}, {"logits": -TEACHER}), value)


def test_it_is_the_limit_of_soft_targets_for_a_certain_teacher() -> None:
    certain = TEACHER * 1e4
    hard = HardTargets()({"logits": STUDENT}, {"logits": certain})
    torch.testing.assert_close(hard, soft_target_loss(STUDENT, certain, 1.0))
