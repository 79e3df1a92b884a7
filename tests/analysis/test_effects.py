"""Effects and verdicts of studies whose truth is known; how often they are wrong is in test_false_verdicts."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, t, ttest_rel

from kdflow.analysis.effect import EQUIVALENT, GAIN, LOSS, ONE_PAIR, UNDECIDED, Effect
from kdflow.analysis.effects import effects
from kdflow.analysis.intervals import Spread
from tests.analysis.studies import arms_of, run_id, study

GIVEN = arms_of(0.70, 0.73, 0.67, 0.70, 0.705, noise=0.05)


def of(correct: np.ndarray, *, margin: float = 0.01, **options: Any) -> tuple[Effect, ...]:
    comparison, kept = study(correct)
    return effects(comparison, kept, margin=margin, **options)


def by_accuracy(accuracies: Sequence[Sequence[float]]) -> tuple[Effect, ...]:
    """Of test accuracies alone: the first arm is the baseline."""
    given = np.array(accuracies)
    comparison, _ = study(np.ones((*given.shape, 1), bool))
    comparison.runs["test_accuracy"] = given.ravel()
    return effects(comparison, {})


def agrees(effect: Effect, margin: float) -> bool:
    """Whether interval and p-value say what the verdict says."""
    assert effect.interval is not None
    assert effect.p_value is not None
    low, high = effect.interval
    within = -margin < low <= high < margin
    if effect.verdict == EQUIVALENT:
        return within
    differs = {GAIN: low > 0, LOSS: high < 0, UNDECIDED: low <= 0 <= high and not within}[effect.verdict]
    return differs and (effect.p_value <= 0.05) == (effect.verdict != UNDECIDED)


def test_a_gain_a_loss_and_two_that_are_equivalent_are_told_apart() -> None:
    found = of(GIVEN, margin=0.02)
    assert [effect.verdict for effect in found] == [GAIN, LOSS, EQUIVALENT, EQUIVALENT]
    assert all(agrees(effect, 0.02) for effect in found)
    assert {effect.seeds_needed for effect in found} == {None}


def test_what_is_given_is_what_was_measured() -> None:
    accuracies = GIVEN.mean(axis=2)
    effect = of(GIVEN)[0]
    assert effect.differences == pytest.approx(accuracies[1] - accuracies[0])
    assert effect.mean == pytest.approx(np.mean(effect.differences))
    assert effect.deviation == pytest.approx(np.std(effect.differences, ddof=1))
    assert effect.interval is not None
    assert effect.block_interval is not None
    assert effect.interval[0] < effect.block_interval[0] < effect.block_interval[1] < effect.interval[1]
    assert effect.wins is not None
    assert effect.wins > 0.99


def test_what_is_undecided_says_how_many_seeds_would_probably_decide() -> None:
    (effect,) = by_accuracy([[0.70, 0.71, 0.69], [0.71, 0.71, 0.72]])
    assert effect.verdict == UNDECIDED
    assert effect.seeds_needed is not None
    assert 4 < effect.seeds_needed < 20


def test_a_small_test_set_forbids_an_answer_however_many_seeds() -> None:
    (effect,) = of(arms_of(0.70, 0.71, images=300, noise=0.05))
    assert (effect.verdict, effect.seeds_needed) == (UNDECIDED, None)


def test_interval_p_value_and_verdict_agree_in_a_hundred_studies() -> None:
    seen = set()
    for seed in range(25):
        correct = arms_of(0.70, 0.70, 0.72, 0.69, 0.703, seeds=4, images=800, noise=0.04, seed=seed)
        for effect in of(correct, margin=0.02):
            assert agrees(effect, 0.02), effect
            assert effect.level >= 0.95 - 1e-12
            seen.add(effect.verdict)
    assert seen == {GAIN, LOSS, EQUIVALENT, UNDECIDED}


def test_by_accuracy_alone_one_arm_has_the_paired_t_test() -> None:
    first, second = [0.731, 0.742, 0.728, 0.751], [0.722, 0.725, 0.727, 0.730]
    (effect,) = by_accuracy([second, first])
    theirs = ttest_rel(first, second)
    assert effect.p_value == pytest.approx(theirs.pvalue)
    assert effect.interval == effect.block_interval == pytest.approx(tuple(theirs.confidence_interval(effect.level)))
    assert "by accuracy alone" in effect.method


def test_arms_alike_share_their_spread() -> None:
    given = [[0.70, 0.71, 0.72, 0.70], [0.72, 0.715, 0.73, 0.71], [0.705, 0.72, 0.71, 0.70]]
    pooled = Spread.pooled(np.array(given))
    for effect in by_accuracy(given):
        assert "pooled over 3 arms" in effect.method
        half = t.isf((1 - effect.level) / 2, (3 - 1) * (4 - 1)) * (pooled.variance / 4) ** 0.5
        assert effect.interval == pytest.approx((effect.mean - half, effect.mean + half))


def test_arms_of_unequal_deviations_do_not() -> None:
    found = by_accuracy([[0.70, 0.71, 0.72], [0.70, 0.71, 0.721], [0.68, 0.72, 0.74]])
    assert all("differ by more than a factor of 2" in effect.method for effect in found)


def test_an_arm_of_other_seeds_has_its_own_spread() -> None:
    comparison, kept = study(arms_of(0.70, 0.72, 0.71, 0.73))
    fewer = replace(comparison, runs=comparison.runs[comparison.runs["run_id"] != run_id(3, 4)])
    *alike, other = effects(fewer, kept)
    assert len(other.seeds) == 4
    assert other.unpaired == 1
    assert "no other has the same seeds" in other.method
    assert all("3 arms" in effect.method or "factor of 2" in effect.method for effect in alike)


def test_against_another_arm_signs_turn() -> None:
    forth, back = of(GIVEN[:2])[0], of(GIVEN[:2], baseline=1)[0]
    assert (back.arm, back.baseline) == (0, 1)
    assert back.mean == -forth.mean
    assert back.interval is not None
    assert back.interval == pytest.approx(tuple(-one for one in reversed(forth.interval or ())))
    assert (forth.verdict, back.verdict) == (GAIN, LOSS)


def test_of_one_seed_there_is_mcnemar_and_no_verdict() -> None:
    first, second = correct = arms_of(0.70, 0.72, seeds=1)[:, 0]
    (effect,) = of(correct[:, None])
    ours, theirs = int((second & ~first).sum()), int((first & ~second).sum())
    assert effect.p_value == binomtest(ours, ours + theirs).pvalue
    assert effect.verdict == ONE_PAIR
    assert (effect.interval, effect.deviation, effect.wins, effect.seeds_needed) == (None,) * 4
    (unknown,) = by_accuracy([[0.70], [0.72]])
    assert (unknown.verdict, unknown.p_value) == (ONE_PAIR, None)


def test_equal_predictions_are_equivalent() -> None:
    right = arms_of(0.7, seeds=3)
    (effect,) = of(np.concatenate([right, right]))
    assert (effect.verdict, effect.mean, effect.interval, effect.p_value) == (EQUIVALENT, 0, (0, 0), 1)


def test_without_any_spread_nothing_is_claimed() -> None:
    (effect,) = by_accuracy([[0.70, 0.71], [0.72, 0.73]])
    assert (effect.verdict, effect.interval, effect.p_value, effect.seeds_needed) == (UNDECIDED, None, None, None)


def test_one_image_says_nothing_of_images() -> None:
    (effect,) = of(np.array([[[True], [False], [True]], [[True], [True], [True]]]))
    assert effect.verdict == UNDECIDED
    assert "by accuracy alone" in effect.method


def test_two_seeds_claim_little() -> None:
    effect = of(arms_of(0.70, 0.72, seeds=2, images=1000, noise=0.3))[0]
    assert effect.verdict == UNDECIDED
    assert effect.interval is not None
    assert all(map(math.isfinite, effect.interval))
