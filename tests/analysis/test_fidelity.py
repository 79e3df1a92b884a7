"""How much a student is like its teacher, by hand, and as the training measures it."""

import numpy as np
import pytest
from scipy.special import log_softmax

from kdflow.analysis.fidelity import accuracy_where, agreement, errors_shared, teacher_kl

LABELS = np.array([0, 1, 2, 0, 1, 2])
TEACHER = np.array([0, 1, 2, 1, 0, 0])
STUDENT = np.array([0, 1, 0, 1, 2, 2])


def test_agreement_is_the_share_of_equal_answers_right_or_wrong() -> None:
    assert agreement(STUDENT, TEACHER) == pytest.approx(3 / 6)
    assert agreement(TEACHER, TEACHER) == 1


def test_accuracy_where_the_teacher_is_right_and_where_it_is_wrong_make_up_the_accuracy() -> None:
    right = TEACHER == LABELS
    assert accuracy_where(right, STUDENT, LABELS) == pytest.approx(2 / 3)
    assert accuracy_where(~right, STUDENT, LABELS) == pytest.approx(1 / 3)
    assert accuracy_where(np.zeros(6, bool), STUDENT, LABELS) is None


def test_an_error_is_shared_only_if_it_is_the_same_wrong_answer() -> None:
    assert errors_shared(STUDENT, TEACHER, LABELS) == pytest.approx(1 / 3)
    assert errors_shared(STUDENT, LABELS, LABELS) is None


def test_the_divergence_is_of_the_student_from_the_teacher_and_not_the_other_way_round() -> None:
    teacher, student = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    assert teacher_kl(student, teacher) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert teacher_kl(teacher, student) == pytest.approx(0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5))
    assert teacher_kl(student, student) == 0


def test_it_is_what_the_training_logs_as_val_teacher_kl() -> None:
    import torch

    from kdflow.evaluation import metrics

    student, teacher = np.random.default_rng(0).normal(size=(2, 50, 10))
    logged = metrics.teacher_kl(torch.tensor(student), torch.tensor(teacher))
    assert teacher_kl(log_softmax(student, 1), log_softmax(teacher, 1)) == pytest.approx(float(logged))
