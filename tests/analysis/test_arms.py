"""The numbers of arms, by hand: mean and sample deviation over seeds, differences paired by seed."""

from dataclasses import replace
from typing import Any

import pytest

from kdflow.analysis.cells import arm_columns, arm_notes
from kdflow.analysis.comparison import Comparison, Row
from tests.comparisons import FACTS, GRID, LABELS_ONLY, MIXED, STUDY, TEACHER, seeded


def line(comparison: Comparison, alpha: float | None) -> dict[str, Any]:
    """The arm of an alpha; of the teacher for None."""
    (found,) = [arm for arm in comparison.arms.to_dict("records") if arm["alpha"] == alpha]
    return dict(found)


def test_an_arm_is_mean_and_sample_deviation_over_its_seeds() -> None:
    mixed = line(GRID, 0.5)
    assert (mixed["role"], mixed["seeds"], mixed["pairs"], mixed["parameters"]) == ("student", 3, 3, 105_386)
    # 0.73, 0.74 and 0.78: mean 0.75, squares 4 + 1 + 9 of a hundredth, by 2 is 7.
    assert mixed["test_accuracy_mean"] == pytest.approx(0.75)
    assert mixed["test_accuracy_std"] == pytest.approx(7**0.5 / 100)


def test_the_difference_is_paired_by_seed() -> None:
    # 0.73 - 0.70, 0.74 - 0.72 and 0.78 - 0.74: mean 0.03, deviation 0.01; unpaired it would be larger.
    mixed = line(GRID, 0.5)
    assert (mixed["difference_mean"], mixed["difference_std"]) == pytest.approx((0.03, 0.01))
    for alpha in (None, 1.0):
        other = line(GRID, alpha)
        assert (other["difference_mean"], other["difference_std"], other["pairs"]) == (None, None, 0)


def test_the_gap_is_averaged_where_there_is_one() -> None:
    assert line(GRID, 1.0)["gap_mean"] == pytest.approx(LABELS_ONLY.gap)
    assert line(GRID, None)["gap_mean"] is None


def test_of_one_seed_there_is_no_deviation() -> None:
    rows = [*seeded(TEACHER, 0.8), *seeded(LABELS_ONLY, 0.7, 0.72), *seeded(MIXED, 0.73)]
    found = Comparison.of(rows, **FACTS, baselines={rows[-1].run_id: rows[1].run_id})
    mixed = line(found, 0.5)
    assert (mixed["seeds"], mixed["test_accuracy_std"], mixed["difference_std"]) == (1, None, None)
    assert mixed["difference_mean"] == pytest.approx(0.03)
    cells = arm_columns(found.arms)
    assert cells["test"] == ["80.00", "71.00 (1.41)", "73.00"]
    assert cells["minus alpha = 1"] == ["-", "-", "+3.00"]


def test_only_pairs_of_one_seed_count_and_that_is_said_where_seeds_are_unequal() -> None:
    assert "pairs" not in arm_columns(GRID.arms)
    assert not any("unequal" in note for note in arm_notes(GRID.arms))
    without = [run_id for run_id, alpha in zip(GRID.runs["run_id"], GRID.runs["alpha"], strict=True) if alpha == 1][-1]
    runs = GRID.runs[GRID.runs["run_id"] != without]
    baselines = {ours: theirs for ours, theirs in GRID.baselines.items() if theirs != without}
    found = replace(GRID, runs=runs, baselines=baselines)
    mixed = line(found, 0.5)
    assert (mixed["seeds"], mixed["pairs"]) == (3, 2)
    assert mixed["difference_mean"] == pytest.approx(0.025)
    assert arm_columns(found.arms)["pairs"] == ["-", "-", "2"]
    assert any("unequal" in note for note in arm_notes(found.arms))


@pytest.mark.parametrize("other", [{"model": "alexnet"}, {"temperature": 1.0}, {"settings": "lr=1"}, {"epochs": 3}])
def test_what_differs_in_more_than_the_seed_is_an_arm_of_its_own(other: dict[str, Any]) -> None:
    rows = seeded(MIXED, 0.7, 0.8)
    changed: list[Row] = [replace(row, run_id=row.run_id[::-1], **other) for row in rows]
    assert [arm["seeds"] for arm in Comparison.of([*rows, *changed], **FACTS).arms.to_dict("records")] == [2, 2]


def test_where_no_arm_has_several_seeds_each_run_stands_for_itself() -> None:
    assert not STUDY.has_seeds
    assert [len(arm) for arm in STUDY.rows_by_arm] == [1] * 4
    assert len(STUDY.arms) == 4
    scattered = Comparison.of([replace(row, seed=place) for place, row in enumerate(STUDY.rows)], **FACTS)
    assert not scattered.has_seeds


def test_a_metric_that_is_declared_besides_has_its_mean_too() -> None:
    runs = GRID.runs.assign(ece=[0.1 * place for place in range(len(GRID.runs))])
    assert line(replace(GRID, runs=runs), 1.0)["ece_mean"] == pytest.approx(0.4)
