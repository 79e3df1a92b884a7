"""Intervals agree with scipy, least squares and brute force; how often they hold is in test_false_verdicts."""

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ttest_rel

from kdflow.analysis.intervals import Estimate, Spread, over_seeds, over_seeds_and_images, t_quantile
from tests.analysis.studies import arms_of

FIRST, SECOND = np.array([0.731, 0.742, 0.728, 0.751, 0.740]), np.array([0.722, 0.725, 0.727, 0.730, 0.729])
LEVELS = (0.9, 0.95, 0.99)


def paired(first: np.ndarray, second: np.ndarray) -> Estimate:
    return over_seeds(float((first - second).mean()), len(first), Spread.of(first - second))


def test_over_seeds_alone_it_is_the_paired_t_test_of_scipy() -> None:
    theirs, ours = ttest_rel(FIRST, SECOND), paired(FIRST, SECOND)
    assert ours.p_value() == pytest.approx(theirs.pvalue, rel=1e-9)
    for level in LEVELS:
        assert ours.interval(level) == pytest.approx(tuple(theirs.confidence_interval(level)), rel=1e-9)


@pytest.mark.parametrize("margin", [0.005, 0.02, 0.05])
def test_equivalence_is_the_larger_of_two_one_sided_tests(margin: float) -> None:
    above = ttest_rel(FIRST + margin, SECOND, alternative="greater").pvalue
    below = ttest_rel(FIRST - margin, SECOND, alternative="less").pvalue
    assert paired(FIRST, SECOND).equivalence(margin) == pytest.approx(max(above, below), rel=1e-9)


def test_the_pooled_spread_of_two_arms_is_that_of_their_differences() -> None:
    pooled, own = Spread.pooled(np.array([FIRST, SECOND])), Spread.of(FIRST - SECOND)
    assert pooled.variance == pytest.approx(own.variance)
    assert pooled.df == own.df == 4


def test_the_pooled_spread_is_that_of_least_squares() -> None:
    arms, seeds = 4, 6
    accuracies = np.random.default_rng(0).normal(0.7, 0.01, (arms, seeds))
    arm, seed = np.divmod(np.arange(arms * seeds), seeds)
    design = np.hstack([np.eye(arms)[arm], np.eye(seeds)[seed][:, 1:]])
    _, residuals, rank, _ = np.linalg.lstsq(design, accuracies.ravel())
    df = arms * seeds - rank
    pooled = Spread.pooled(accuracies)
    assert pooled.df == df == 15
    assert pooled.variance == pytest.approx(2 * residuals[0] / df)


def test_the_pooled_spread_by_hand() -> None:
    # Arm means 2, 4, 6, seed means 3, 4, 5: all but the last seed's exchange of two arms is additive.
    accuracies = np.array([[1.0, 2.0, 3.0], [3.0, 4.0, 5.0], [5.0, 6.0, 7.0]])
    assert Spread.pooled(accuracies) == Spread(0.0, 4)
    accuracies[0, 0] += 9.0  # its residual is 9 * (2/3)^2 = 4; sum of squares 81 * (2/3)^2 = 36
    assert Spread.pooled(accuracies).variance == pytest.approx(2 * 36 / 4)


def test_the_two_way_variance_by_hand() -> None:
    # Differences 1 0 0 1 / 0 0 0 1: seed means 0.5, 0.25 (variance 1/32), image means 0.5, 0, 0, 1 (variance 11/48),
    # doubly centred 3/8 -1/8 -1/8 -1/8 and its negative: squares 24/64, over 3 degrees of freedom 1/8.
    first, second = np.array([[1, 0, 0, 1], [0, 0, 0, 1]], bool), np.zeros((2, 4), bool)
    estimate = over_seeds_and_images(first, second)
    assert estimate.mean == 0.375
    assert estimate.spread == Spread(1 / 32, 1)
    assert estimate.images_df == 3
    assert estimate.variance == pytest.approx(1 / 32 / 2 + 11 / 48 / 4 - 1 / 8 / 8)
    half = math.hypot(t_quantile(1, 0.025) * math.sqrt(1 / 64), t_quantile(3, 0.025) * math.sqrt(11 / 192 - 1 / 64))
    assert estimate.interval(0.95) == pytest.approx((0.375 - half, 0.375 + half))


def test_the_two_way_variance_is_that_of_studies_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    from verdicts import World

    rng, world = np.random.default_rng(0), World(arms=2, seeds=4, images=300, by_image=0.6, by_seed=0.08)
    drawn = [over_seeds_and_images(*world.draw(rng)) for _ in range(2000)]
    true = np.var([one.mean for one in drawn], ddof=1)
    assert np.mean([one.variance for one in drawn]) == pytest.approx(true, rel=0.08)


def test_the_variance_is_never_below_that_of_seeds_or_of_images_alone() -> None:
    for seed in range(20):
        first, second = arms_of(0.7, 0.72, seeds=3, images=50, seed=seed)
        estimate = over_seeds_and_images(first, second)
        difference = first.astype(float) - second
        of_images = difference.mean(axis=0).var(ddof=1) / 50
        assert estimate.variance >= max(estimate.spread.variance / 3, of_images) * (1 - 1e-12)


@pytest.mark.parametrize("spread", [None, Spread(3e-4, 16)])
def test_interval_and_p_value_agree(spread: Spread | None) -> None:
    first, second = arms_of(0.72, 0.7, images=2000, noise=0.5)
    estimate = over_seeds_and_images(first, second, spread)
    p_value = estimate.p_value()
    assert 1e-6 < p_value < 1
    assert min(map(abs, estimate.interval(1 - p_value))) == pytest.approx(0, abs=1e-9)
    low, high = estimate.interval(1 - 2 * estimate.equivalence(0.1))
    assert max(-low, high) == pytest.approx(0.1)


def test_it_is_no_narrower_than_the_interval_over_seeds_alone() -> None:
    first, second = arms_of(0.72, 0.7, images=500)
    both = over_seeds_and_images(first, second)
    alone = over_seeds(both.mean, both.seeds, both.spread)
    low, high = alone.interval(0.95)
    assert both.interval(0.95)[0] <= low
    assert high <= both.interval(0.95)[1]


def test_equal_predictions_differ_in_nothing_and_surely() -> None:
    (right,) = arms_of(0.7, seeds=3)
    estimate = over_seeds_and_images(right, right)
    assert estimate.variance == 0
    assert estimate.interval(0.95) == (0, 0)
    assert estimate.p_value() == 1
    assert estimate.equivalence(0.005) == 0
    assert estimate.equivalence(0.0) == 0.5


def test_rounding_is_no_spread() -> None:
    assert Spread.of(np.array([0.73 - 0.71, 0.74 - 0.72, 0.72 - 0.70])).variance == 0


def test_what_can_hardly_be_chance_has_the_smallest_p_value() -> None:
    assert over_seeds(0.5, 10, Spread(1e-12, 9)).p_value() == pytest.approx(2e-15)
    assert over_seeds(-0.5, 10, Spread(1e-12, 9)).equivalence(0.005) == pytest.approx(1)
