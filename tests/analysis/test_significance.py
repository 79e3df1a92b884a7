"""Tests of significance against scipy, textbooks and brute force."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from kdflow.analysis.intervals import Spread, over_seeds
from kdflow.analysis.significance import holm, mcnemar, seeds_needed, wins
from tests.analysis.studies import arms_of


def test_mcnemar_is_the_binomial_test_of_the_images_on_which_one_alone_is_right() -> None:
    first, second = np.array([1, 1, 1, 1, 1, 0, 1, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert mcnemar(first, second) == binomtest(5, 6).pvalue == pytest.approx(14 / 64)


def test_mcnemar_of_equal_predictions_finds_nothing() -> None:
    (right,) = arms_of(0.7, seeds=1)[0:1, 0]
    assert mcnemar(right, right) == 1


def test_holm_by_hand() -> None:
    # Sorted 0.005, 0.011, 0.02, 0.04, 0.13: times 5, 4, 3, 2, 1, none less than one before it.
    adjusted, shares = holm([0.04, 0.005, 0.13, 0.011, 0.02])
    assert adjusted == pytest.approx([0.08, 0.025, 0.13, 0.044, 0.06])
    assert shares == pytest.approx([0.05 / 3, 0.05 / 5, 0.05 / 3, 0.05 / 4, 0.05 / 3]), "the third step fails"


def test_holm_of_one_is_no_correction() -> None:
    assert holm([0.04]) == ([0.04], [0.05])
    assert holm([]) == ([], [])


def test_holm_rejects_exactly_what_is_within_its_share() -> None:
    rng = np.random.default_rng(0)
    for count in (1, 2, 5, 12):
        for _ in range(50):
            p_values = list(rng.random(count) ** 4)
            adjusted, shares = holm(p_values)
            assert [one <= 0.05 for one in adjusted] == [p <= own for p, own in zip(p_values, shares, strict=True)]


@pytest.mark.parametrize("seeds", [3, 10])
def test_a_new_seed_wins_as_often_as_predicted(seeds: int) -> None:
    # Of all gains alike, what is said to happen with a probability of p happens so often.
    rng = np.random.default_rng(0)
    predicted, happened = [], []
    for gain in rng.uniform(-6, 6, 4000):
        first, second = rng.normal(gain, 1, seeds), rng.normal(0, 1, seeds)
        if 0.6 < (p := wins(first, second)) < 0.97:
            predicted.append(p)
            happened.append(rng.normal(gain, 1) > rng.normal(0, 1))
    assert len(predicted) > 500
    assert np.mean(predicted) == pytest.approx(np.mean(happened), abs=0.04)


def test_who_is_as_good_wins_half_of_the_time() -> None:
    accuracies = np.array([0.70, 0.72, 0.74])
    assert wins(accuracies, accuracies[::-1]) == 0.5
    assert wins(accuracies, accuracies - 0.01) + wins(accuracies - 0.01, accuracies) == pytest.approx(1)


def test_without_spread_the_better_wins() -> None:
    flat = np.array([0.7, 0.7])
    assert [wins(flat, flat - 0.1), wins(flat, flat), wins(flat, flat + 0.1)] == [1, 0.5, 0]


@pytest.mark.parametrize(("mean", "margin"), [(0.004, 0.0), (0.0, 0.005)])
def test_as_many_seeds_as_it_says_decide_four_times_of_five(mean: float, margin: float) -> None:
    deviation, now = 0.0047, 3
    wanted = seeds_needed(over_seeds(mean, now, Spread(deviation**2, now - 1)), margin)
    assert wanted is not None
    decided = {wanted - 2: 0, wanted: 0}
    rng = np.random.default_rng(0)
    for seeds in decided:
        for _ in range(1000):
            drawn = rng.normal(mean, deviation, seeds)
            estimate = over_seeds(float(drawn.mean()), seeds, Spread.of(drawn))
            decided[seeds] += min(estimate.p_value(), 2 * estimate.equivalence(margin)) <= 0.05
    assert decided[wanted] / 1000 == pytest.approx(0.8, abs=0.06)
    assert decided[wanted - 2] < decided[wanted]


def test_more_seeds_do_not_help_where_the_images_alone_forbid_it() -> None:
    estimate = over_seeds(0.004, 5, Spread(0.005**2, 4))
    assert seeds_needed(estimate, 0.005) is not None
    assert seeds_needed(replace(estimate, images=0.006**2, images_df=500), 0.005) is None


def test_it_asks_for_more_seeds_than_there_are_and_for_no_more_than_anybody_has() -> None:
    assert seeds_needed(over_seeds(0.02, 7, Spread(1e-6, 6)), 0.005) == 8
    assert seeds_needed(over_seeds(0.005, 7, Spread(1.0, 6)), 0.005) is None
    assert seeds_needed(over_seeds(0.0, 3, Spread(0.0, 2)), 0.0) is None


def test_a_harder_share_of_alpha_asks_for_more_seeds() -> None:
    estimate = over_seeds(0.004, 5, Spread(0.005**2, 4))
    few, many = (seeds_needed(estimate, 0.0, differs=share) for share in (0.05, 0.0125))
    assert few is not None
    assert many is not None
    assert many > few
