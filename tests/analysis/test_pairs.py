"""Which runs are pairs, and whether their predictions are of the same images."""

from dataclasses import replace

import numpy as np

from kdflow.analysis import pairs
from kdflow.analysis.comparison import Comparison
from kdflow.evaluation.predictions import Predictions
from tests.analysis.studies import arms_of, run_id, study
from tests.comparisons import FACTS, GRID, STUDY

CORRECT = arms_of(0.7, 0.72, 0.71, seeds=3, images=60)


def without(comparison: Comparison, *run_ids: str) -> Comparison:
    return replace(comparison, runs=comparison.runs[~comparison.runs["run_id"].isin(run_ids)])


def test_each_arm_is_paired_with_alpha_1_by_seed() -> None:
    first, second = pairs.find(*study(CORRECT))
    assert [(one.arm, one.baseline, one.seeds, one.unpaired) for one in (first, second)] == [
        (1, 0, (0, 1, 2), 0),
        (2, 0, (0, 1, 2), 0),
    ]
    assert second.correct is not None
    np.testing.assert_array_equal(second.correct, CORRECT[[2, 0]])
    np.testing.assert_allclose(second.accuracies, CORRECT[[2, 0]].mean(axis=2))


def test_only_pairs_count_and_the_others_are_counted() -> None:
    comparison, kept = study(CORRECT)
    first, second = pairs.find(without(comparison, run_id(0, 0), run_id(2, 1)), kept)
    assert (first.seeds, first.unpaired) == ((1, 2), 1)
    assert (second.seeds, second.unpaired) == ((2,), 2)
    np.testing.assert_array_equal(first.correct, CORRECT[[1, 0], 1:])


def test_an_arm_without_a_pair_is_left_out() -> None:
    comparison, kept = study(CORRECT)
    assert [one.arm for one in pairs.find(replace(comparison, baselines={run_id(2, 0): run_id(0, 0)}), kept)] == [2]
    assert pairs.find(Comparison.of((), **FACTS), {}) == ()


def test_any_arm_may_be_the_baseline_of_all_other_students() -> None:
    comparison, kept = study(CORRECT, teachers=(0, 1, 2))
    found = pairs.find(comparison, kept, 2)
    assert [(one.arm, one.baseline) for one in found] == [(1, 2), (3, 2)]
    np.testing.assert_array_equal(found[1].correct, CORRECT[[2, 1]])


def test_without_the_predictions_of_one_run_the_arm_is_compared_by_accuracy_alone() -> None:
    comparison, kept = study(CORRECT)
    first, second = pairs.find(comparison, {name: one for name, one in kept.items() if name != run_id(1, 2)})
    assert first.correct is None
    np.testing.assert_allclose(first.accuracies, CORRECT[[1, 0]].mean(axis=2))
    assert second.correct is not None
    assert all(one.correct is None for one in pairs.find(GRID, {}))


def test_predictions_of_other_images_or_in_another_order_do_not_count() -> None:
    comparison, kept = study(CORRECT)

    def changed(**arrays: np.ndarray) -> dict[str, Predictions]:
        one = kept[run_id(1, 1)]
        return {**kept, run_id(1, 1): replace(one, test=replace(one.test, **arrays))}

    test = kept[run_id(1, 1)].test
    for other in (changed(index=test.index[::-1]), changed(labels=1 - test.labels)):
        first, second = pairs.find(comparison, other)
        assert first.correct is None
        assert second.correct is not None


def test_of_one_seed_each_run_is_an_arm() -> None:
    baselines = {"2" * 32: "1" * 32, "3" * 32: "1" * 32}
    found = pairs.find(replace(STUDY, baselines=baselines), {})
    assert [(one.arm, one.baseline, one.seeds) for one in found] == [(2, 1, (0,)), (3, 1, (0,))]


def test_a_seed_that_an_arm_has_twice_counts_once() -> None:
    comparison, kept = study(CORRECT)
    rows = [*comparison.rows, replace(comparison.rows[4], run_id="again")]
    twice = Comparison.of(
        rows, **FACTS, baselines={**comparison.baselines, "again": run_id(0, comparison.rows[4].seed)}
    )
    first = pairs.find(twice, kept)[0]
    assert (first.seeds, first.unpaired) == ((0, 1, 2), 1)
