"""How much a student is like its teacher, image by image. Pure functions on arrays."""

import numpy as np

from kdflow.analysis.calibration import Bools, Floats, Ints


def agreement(ours: Ints, theirs: Ints) -> float:
    """Share of the images of which two models say the same: top-1 agreement (Stanton et al. 2021, section 3).

    Args:
        ours: Answers `[N]`.
        theirs: Answers `[N]`.
    """
    return float((ours == theirs).mean())


def teacher_kl(student: Floats, teacher: Floats) -> float:
    """KL(teacher || student) in nats: the mean over the images (Stanton et al. 2021, section 3, predictive KL).

    Args:
        student: Logarithms of probabilities `[N, classes]`.
        teacher: Logarithms of probabilities `[N, classes]`.
    """
    return float((np.exp(teacher) * (teacher - student)).sum(1).mean())


def accuracy_where(chosen: Bools, answers: Ints, labels: Ints) -> float | None:
    """Accuracy on some of the images; None where none is chosen.

    Args:
        chosen: Which, `[N]`.
        answers: `[N]`.
        labels: `[N]`.
    """
    return agreement(answers[chosen], labels[chosen]) if chosen.any() else None


def errors_shared(student: Ints, teacher: Ints, labels: Ints) -> float | None:
    """Share of the teacher's errors that the student makes too, with the same wrong answer; None if there are none.

    Args:
        student: Answers `[N]`.
        teacher: Answers `[N]`.
        labels: `[N]`.
    """
    return accuracy_where(teacher != labels, student, teacher)
