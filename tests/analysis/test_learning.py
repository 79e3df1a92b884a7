"""Epochs to reach an accuracy, by hand."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kdflow.analysis.comparison import Comparison, Row
from kdflow.analysis.learning import learning
from tests.analysis.made import made_comparison
from tests.comparisons import FACTS, GRID, LABELS, MIXES, TEACHERS


def with_curves(rows: Sequence[Row], *curves: list[float]) -> list[Row]:
    return [replace(row, history={"val/accuracy": curve}) for row, curve in zip(rows, curves, strict=True)]


QUICK = with_curves(MIXES, [0.3, 0.5, 0.4, 0.6], [0.3, 0.4, 0.5, 0.55], [0.5, 0.55, 0.58, 0.7])
FOUND = Comparison.of((*with_curves(LABELS, [0.2, 0.4], [0.2, 0.5], []), *QUICK), **FACTS)


def test_an_accuracy_is_reached_after_the_first_whole_epoch_that_has_it_even_if_it_is_lost_again() -> None:
    mixed = learning(FOUND, at=[0.5, 0.6]).query("arm == 1").to_dict("records")
    # 0.5 after epochs 2, 3 and 1; 0.6 after epoch 4, never, and after epoch 4.
    assert mixed[0] == {"arm": 1, "accuracy": 0.5, "epochs_mean": 2, "epochs_std": 1.0, "reached": 3, "runs": 3}
    assert mixed[1] == {"arm": 1, "accuracy": 0.6, "epochs_mean": 4, "epochs_std": 0.0, "reached": 2, "runs": 3}


def test_who_never_reaches_it_does_not_count_and_who_has_no_curve_is_no_run() -> None:
    labels = learning(FOUND, at=[0.45, 0.9]).query("arm == 0").to_dict("records")
    assert labels[0] == {"arm": 0, "accuracy": 0.45, "epochs_mean": 2, "epochs_std": None, "reached": 1, "runs": 2}
    assert labels[1] == {"arm": 0, "accuracy": 0.9, "epochs_mean": None, "epochs_std": None, "reached": 0, "runs": 2}


def test_accuracies_are_round_above_the_worst_first_epoch_and_not_above_the_best() -> None:
    assert sorted(set(learning(FOUND)["accuracy"])) == [0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.64, 0.756, [0.68, 0.7, 0.72, 0.74]),
        (0.1, 0.95, [0.5, 0.6, 0.7, 0.8, 0.9]),
        (0.9, 0.93, [0.91, 0.915, 0.92, 0.925, 0.93]),
        (0.7, 0.7, []),
    ],
)
def test_steps_are_as_wide_as_tells_arms_apart(low: float, high: float, expected: list[float]) -> None:
    found = learning(Comparison.of(with_curves(MIXES[:1], [low, high]), **FACTS))
    assert list(found["accuracy"])[-len(expected) or 1 :] == pytest.approx(expected)


def test_students_decide_on_the_accuracies_and_teachers_have_theirs_too() -> None:
    rows = (*with_curves(TEACHERS[:1], [0.2, 0.99]), *with_curves(MIXES[:1], [0.5, 0.75]))
    found = learning(Comparison.of(rows, **FACTS))
    assert max(found["accuracy"]) <= 0.75
    assert set(found["arm"]) == {0, 1}


def test_without_curves_there_is_nothing() -> None:
    assert learning(replace(GRID, curves=GRID.curves[:0])).empty
    assert learning(Comparison.of((), **FACTS)).columns[0] == "arm"


def test_every_arm_has_a_line_for_every_accuracy() -> None:
    comparison, _ = made_comparison(arms=4)
    found = learning(comparison)
    assert set(found.groupby("arm")["accuracy"].count()) == {len(set(found["accuracy"]))}
    assert list(found["runs"].unique()) == [3]
