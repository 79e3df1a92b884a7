"""The test images on which the students of the best distilled arm and their teachers part."""

from collections.abc import Mapping

import numpy as np
from scipy.stats import mode

from kdflow.analysis.answer import Parting
from kdflow.analysis.arms import numbered
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.seen import Seen, seen
from kdflow.config import needs_teacher
from kdflow.evaluation.predictions import Predictions


def partings(comparison: Comparison, predictions: Mapping[str, Predictions], *, most: int = 24) -> tuple[Parting, ...]:
    """Returns test images on which most students of an arm answer otherwise than their teacher, without the images.

    The arm is the distilled one of the best mean validation accuracy: the test images have no part in its choice. Half
    of the images are those on which teachers are right and students wrong, half the other way round, as far as there
    are so many; first those on which the most students part, and of equals those on which both are the surest.

    Args:
        comparison: The runs.
        predictions: By run id.
        most: How many at the most.
    """
    arm, students = _best_arm(comparison, predictions)
    if not students:
        return ()
    teachers = [one.teacher for one in students if one.teacher]
    labels, classes = students[0].labels, students[0].predictions.classes
    ours, theirs = (np.array([one.answers for one in side]) for side in (students, teachers))
    share = (ours != theirs).mean(0)
    sureness = np.mean([one.raw.confidence for one in (*students, *teachers)], axis=0)
    student, teacher = mode(ours).mode, mode(theirs).mode
    telling = np.lexsort((-sureness, -share))
    telling = telling[share[telling] > 0.5]
    is_lost, is_won = (teacher == labels) & (student != labels), (teacher != labels) & (student == labels)
    lost, won = telling[is_lost[telling]], telling[is_won[telling]]
    half = most // 2
    chosen = {*lost[: max(half, most - len(won))], *won[: max(most - half, most - len(lost))]}
    return tuple(
        Parting(
            index=int(students[0].predictions.test.index[place]),
            label=classes[labels[place]],
            teacher=classes[teacher[place]],
            student=classes[student[place]],
            arm=arm,
            share=float(share[place]),
        )
        for place in telling
        if place in chosen
    )


def _best_arm(comparison: Comparison, predictions: Mapping[str, Predictions]) -> tuple[int, list[Seen]]:
    """The arm, and those of its runs of which, and of whose teachers, there are predictions of the same images."""
    known = dict(seen(comparison, predictions))
    found: dict[int, list[Seen]] = {}
    for arm, row in zip(numbered(comparison.runs), comparison.rows, strict=True):
        one = known.get(row.run_id)
        is_distilled = row.alpha is not None and needs_teacher(row.alpha)
        if is_distilled and one and one.teacher and one.is_alike(found.get(arm, [one])[0]):
            found.setdefault(arm, []).append(one)
    validated = comparison.arms["val_accuracy_mean"]
    best = max(found, key=lambda arm: validated[arm], default=0)
    return best, found.get(best, [])
