"""Which runs are compared where there are several seeds and teachers, on records made by hand.

What is left out for other reasons is in tests/experiments/test_compare.py; the numbers of arms are in test_arms.py.
"""

from dataclasses import replace

import pytest

from kdflow.analysis import selection
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.students import TEACHER
from kdflow.config import CompareConfig
from kdflow.tracking.record import Record
from tests.experiments.test_compare import FINAL, Given, names, student, teacher

EPOCHS = {"val/accuracy": 0.8}


def of_seed(run: Record, seed: int, *, test: float = 0.85) -> Record:
    metrics = FINAL | EPOCHS | {"final/test_accuracy": test}
    return replace(run, params=run.params | {"seed": str(seed)}, metrics=metrics)


def cohort(seed: int, *alphas: str, taught_by: str = "") -> list[Record]:
    """A student of each alpha, such as "0.5-3" of seed 3, taught by the teacher of its seed."""
    found = [student(f"{alpha}-{seed}", alpha, taught_by=taught_by or f"t{seed}") for alpha in alphas]
    return [of_seed(run, seed) for run in found]


def grid(*seeds: int, alphas: tuple[str, ...] = ("1", "0.5", "0")) -> list[Record]:
    """A teacher for each seed, whose test accuracy tells its seed, and its cohort."""
    teachers = [of_seed(teacher(f"t{seed}"), seed, test=0.9 + seed / 100) for seed in seeds]
    return [run for seed, one in zip(seeds, teachers, strict=True) for run in (*cohort(seed, *alphas), one)]


def find(*records: Record, taught_by: tuple[str, ...] = (), **options: str) -> Comparison:
    return selection.find(CompareConfig(**options), Given(records), taught_by=taught_by)


def test_teachers_that_differ_in_nothing_but_the_seed_are_compared_together() -> None:
    found = find(*grid(1, 0))
    assert names(found) == ["t0", "t1", "1-0", "1-1", "0.5-0", "0.5-1", "0-0", "0-1"]
    assert found.footnotes == ()


def test_the_gap_of_a_student_is_to_its_own_teacher_and_at_alpha_1_to_that_of_its_seed() -> None:
    gaps = {row.run_id: row.gap for row in find(*grid(0, 1)).rows}
    assert gaps["t0"] is None
    assert [gaps[f"{alpha}-0"] for alpha in ("1", "0.5", "0")] == pytest.approx([-0.05] * 3)
    assert [gaps[f"{alpha}-1"] for alpha in ("1", "0.5", "0")] == pytest.approx([-0.06] * 3)


def test_each_student_is_named_with_the_teacher_that_its_gap_is_to() -> None:
    crossed = [replace(run, run_id=f"c {run.run_id}", params=run.params | {"lr": "9"}) for run in cohort(1, "1", "0")]
    crossed[1] = replace(crossed[1], tags=crossed[1].tags | {TEACHER: "t0"})
    found = find(*crossed, *grid(0, 1, alphas=("1", "0"))).teachers
    assert found == {"1-0": "t0", "1-1": "t1", "0-0": "t0", "0-1": "t1", "c 1-1": "t1", "c 0-1": "t0"}
    alone = find(*cohort(2, "1", "0", taught_by="gone"), *grid(0), taught_by=("t0", "gone"))
    assert alone.teachers.get("0-2") is None
    assert alone.teachers["1-2"] == "t0"


def test_each_student_is_paired_with_the_alpha_1_student_of_its_seed_and_recipe() -> None:
    slow = [replace(run, run_id=f"slow {run.run_id}", params=run.params | {"lr": "0.1"}) for run in cohort(0, "1", "0")]
    fast = [replace(run, params=run.params | {"lr": "0.2"}) for run in grid(0, 1, alphas=("1", "0"))]
    assert find(*fast, *slow).baselines == {"0-0": "1-0", "0-1": "1-1", "slow 0-0": "slow 1-0"}


def test_rows_are_in_the_order_of_alpha_distiller_temperature_and_seed() -> None:
    rkd = [replace(run, run_id=f"rkd {run.run_id}", params=run.params | {"distiller": "rkd"}) for run in cohort(0, "0")]
    hot = [replace(run, run_id=f"hot {run.run_id}", params=run.params | {"temperature": "9"}) for run in cohort(0, "0")]
    found = find(*hot, *rkd, *grid(1, 0, alphas=("1", "0")))
    assert names(found)[2:] == ["1-0", "1-1", "rkd 0-0", "0-0", "0-1", "hot 0-0"]


def test_the_group_with_the_most_students_together_is_taken() -> None:
    other = replace(teacher("u"), params=teacher().params | {"epochs": "10"})
    taught = [student(f"u{n}", "0", taught_by="u", params={"temperature": str(n + 1)}) for n in range(3)]
    found = find(*taught, other, *grid(0, 1))
    assert names(found)[:2] == ["t0", "t1"]
    assert found.footnotes == ("Left out: 4 runs of another teacher.",)
    assert names(find(*taught, other, *grid(0)))[0] == "u", "three students are more than two"


def test_of_one_seed_there_is_one_teacher_the_one_with_the_most_students() -> None:
    again = [of_seed(student("again", "0", taught_by="t"), 0), of_seed(teacher("t"), 0)]
    found = find(*again, *grid(0, 1))
    assert names(found)[:2] == ["t0", "t1"]
    assert found.footnotes == ("Left out: 2 runs of another teacher.",)


def test_who_has_no_students_is_no_teacher_of_the_group_unless_nobody_has() -> None:
    idle = of_seed(teacher("idle"), 7)
    assert names(find(idle, *grid(0)))[0] == "t0"
    assert names(find(idle, teacher("t0"))) == ["t0", "idle"]


def test_a_teacher_that_is_named_is_compared_alone() -> None:
    found = find(*grid(0, 1), teacher="t1")
    assert names(found) == ["t1", "1-1", "0.5-1", "0-1"]
    assert not found.has_seeds


def test_one_teacher_may_teach_all_seeds() -> None:
    found = find(*cohort(1, "1", "0", taught_by="t0"), *grid(0, alphas=("1", "0")))
    assert names(found) == ["t0", "1-0", "1-1", "0-0", "0-1"]
    assert [row.gap for row in found.rows[1:]] == pytest.approx([-0.05] * 4)


def test_of_the_same_student_of_two_teachers_that_of_its_own_seed_is_taken() -> None:
    crossed = [replace(run, run_id="crossed") for run in cohort(1, "0", taught_by="t0")]
    found = find(*crossed, *grid(0, 1, alphas=("1", "0")))
    assert names(found) == ["t0", "t1", "1-0", "1-1", "0-0", "0-1"]
    assert found.footnotes == ("Left out: 1 run of another teacher.",)


def test_students_of_several_teachers_that_are_known_to_be_right_are_compared_even_if_those_are_not_found() -> None:
    found = find(*cohort(2, "0"), *cohort(3, "0"), *grid(0, 1), taught_by=("t0", "t2", "t3"))
    assert names(found) == ["t0", "1-0", "0.5-0", "0-0", "0-2", "0-3"]
    assert "The teachers, runs t2, t3, are not in a test." in found.footnotes
    assert found.rows[-1].gap is None


def test_figures_show_every_run_of_a_grid_of_five_seeds_and_seven_settings() -> None:
    alphas = ("1", "0.75", "0.5", "0.4", "0.25", "0.1", "0")
    found = find(*grid(*range(5), alphas=alphas))
    assert len(found.arms) == 1 + len(alphas)
    assert all(row.history for row in found.rows)
    assert found.footnotes == ()


def test_of_very_many_runs_the_curves_of_the_newest_arms_and_seeds_are_read_and_that_is_said() -> None:
    alphas = ("1", *(str(place / 100) for place in range(40)))
    found = find(*grid(*range(6), alphas=alphas))
    drawn = {row.run_id for row in found.rows if row.history}
    assert len(drawn) == 30 * 3
    assert {int(run_id.rpartition("-")[2]) for run_id in drawn if "-" in run_id} == {0, 1, 2}, "the newest seeds"
    assert len(found.drawn().arms) == 30
    assert set(found.drawn().arms["seeds"]) == {6}, "accuracies need no curves"
    assert found.footnotes == (
        "Figures show the 30 newest arms of 42.",
        "Curves are means over the 3 newest seeds of each arm.",
    )
