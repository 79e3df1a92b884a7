"""The images on which students and teachers part: of which arm, which, and in which order."""

from dataclasses import replace

from kdflow.analysis.partings import partings
from tests.analysis.made import made_comparison, told
from tests.comparisons import GRID, LABELS, MIXES, TEACHERS

TRUTH = [0, 0, 0, 0, 0]
TAUGHT = replace(GRID, teachers={one.run_id: teacher.run_id for one, teacher in zip(MIXES, TEACHERS, strict=True)})
# Image 0: both right. 1: lost by all. 2: won by two of three. 3: both wrong, otherwise. 4: one of three parts.
PREDICTIONS = {row.run_id: told([0, 0, 1, 1, 0], TRUTH) for row in TEACHERS} | {
    MIXES[0].run_id: told([0, 1, 0, 2, 0], TRUTH),
    MIXES[1].run_id: told([0, 2, 0, 2, 2], TRUTH),
    MIXES[2].run_id: told([0, 2, 1, 2, 0], TRUTH),
}


def test_most_students_part_from_their_teachers_and_one_side_is_right() -> None:
    first, second = partings(TAUGHT, PREDICTIONS)
    assert (first.index, first.label, first.teacher, first.student) == (101, "airplane", "airplane", "bird")
    assert (first.arm, first.share, first.image) == (2, 1.0, None)
    assert (second.index, second.teacher, second.student) == (102, "automobile", "airplane")
    assert second.share == 2 / 3


def test_of_equal_shares_those_come_first_of_which_both_are_the_surest() -> None:
    teacher, student = told([0, 0, 0], [0, 0, 0]), told([1, 1, 1], [0, 0, 0])
    for one in (teacher, student):
        one.test.logits[:] *= [[1], [3], [2]]
    found = partings(TAUGHT, {TEACHERS[0].run_id: teacher, MIXES[0].run_id: student})
    assert [one.index for one in found] == [101, 102, 100]


def test_half_are_lost_and_half_are_won_as_far_as_there_are_so_many() -> None:
    comparison, predictions = made_comparison(images=2000)

    def sides(most: int) -> tuple[int, int]:
        found = partings(comparison, predictions, most=most)
        return sum(one.teacher == one.label for one in found), sum(one.student == one.label for one in found)

    assert sides(24) == (12, 12)
    lost, won = sides(2000)
    assert lost + won < 2000
    assert sides(2 * won + 2) == (won + 2, won) if won < lost else sides(2 * lost + 2) == (lost, lost + 2)
    assert sides(0) == (0, 0)


def test_the_arm_is_the_distilled_one_that_validates_best() -> None:
    comparison, predictions = made_comparison(arms=4, images=1000)
    best = comparison.arms[comparison.arms["alpha"].astype(float) < 1]["val_accuracy_mean"].astype(float).idxmax()
    assert {one.arm for one in partings(comparison, predictions)} == {best}
    worse = comparison.runs["test_accuracy"].where(comparison.runs["alpha"] != 0.5, 1.0)
    changed = replace(comparison, runs=comparison.runs.assign(test_accuracy=worse))
    assert {one.arm for one in partings(changed, predictions)} == {best}, "test images have no part in it"


def test_without_teachers_or_distilled_students_nobody_parts() -> None:
    students = {row.run_id: PREDICTIONS[row.run_id] for row in MIXES}
    assert partings(TAUGHT, students) == ()
    labels = {TEACHERS[0].run_id: told([0], [0]), LABELS[0].run_id: told([1], [0])}
    assert partings(replace(GRID, teachers={LABELS[0].run_id: TEACHERS[0].run_id}), labels) == ()
