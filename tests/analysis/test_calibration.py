"""Proper scores, calibration errors and temperature scaling: by hand, by property, and beside scikit-learn.

The bootstrap's draws are not covered one by one, only what its interval claims.
"""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import log_loss

from kdflow.analysis.calibration import (
    BINS,
    brier,
    ece,
    ece_interval,
    equal_mass,
    equal_width,
    finite,
    fit_temperature,
    log_probabilities,
    nll,
    reliability_bins,
)

HALF, SURE = np.log([0.5, 0.5]), np.log([0.9, 0.1])


def drawn(count: int, classes: int = 10, *, seed: int = 0, scale: float = 2.0) -> tuple[NDArray, NDArray]:
    """Logits, and labels that are drawn of their softmax: they are calibrated."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=scale, size=(count, classes))
    labels = (softmax(logits, axis=1).cumsum(1) > generator.random((count, 1))).argmax(1)
    return logits, labels


def sureness(logits: NDArray, labels: NDArray) -> tuple[NDArray, NDArray]:
    return np.exp(log_probabilities(logits).max(1)), logits.argmax(1) == labels


def test_the_likelihood_is_that_of_the_labels_by_hand_and_in_scikit_learn() -> None:
    log_probs, labels = np.array([HALF, SURE]), np.array([1, 0])
    assert nll(log_probs, labels) == pytest.approx(-(np.log(0.5) + np.log(0.9)) / 2)
    assert nll(log_probs, labels) == pytest.approx(log_loss(labels, np.exp(log_probs)))


def test_the_brier_score_is_the_squared_distance_and_is_not_halved_of_two_classes() -> None:
    log_probs = np.array([HALF, SURE])
    assert brier(log_probs, np.array([1, 1])) == pytest.approx((0.5 + 2 * 0.81) / 2)
    assert brier(log_probs, np.array([0, 0])) == pytest.approx((0.5 + 2 * 0.01) / 2)


def test_an_error_of_which_it_was_sure_costs_what_it_says_and_not_what_a_library_cuts_it_to() -> None:
    assert nll(log_probabilities(np.array([[500.0, 0.0]])), np.array([1])) == pytest.approx(500)


def test_the_calibration_error_is_the_mean_gap_of_the_bins() -> None:
    # In one bin 0.92 and 0.94, both right: 2 x 0.07; in another 0.7, wrong: 0.7. Of three images: 0.84 / 3.
    confidence, correct = np.array([0.92, 0.7, 0.94]), np.array([True, False, True])
    assert ece(confidence, correct, equal_width(confidence, 10)) == pytest.approx(0.28)


def test_errors_in_one_bin_cancel() -> None:
    confidence, correct = np.array([0.75, 0.75, 0.75, 0.75]), np.array([True, True, True, False])
    assert ece(confidence, correct, equal_width(confidence)) == pytest.approx(0)
    assert ece(confidence, correct, equal_mass(confidence)) == pytest.approx(0)


def test_a_bin_holds_its_upper_end_and_the_ends_are_counted_once() -> None:
    confidence = np.array([0.0, 0.2, 0.2000001, 0.999, 1.0, np.nextafter(1.0, 2.0)])
    assert list(equal_width(confidence, 5)) == [0, 0, 1, 4, 4, 4]


@pytest.mark.parametrize("right", [True, False])
def test_who_is_wholly_sure_has_an_error_of_0_or_1(right: bool) -> None:
    confidence, correct = np.ones(4), np.full(4, right)
    for numbers in (equal_width(confidence), equal_mass(confidence)):
        assert ece(confidence, correct, numbers) == float(not right)


def test_bins_of_equal_mass_hold_as_many_images() -> None:
    confidence = np.random.default_rng(0).random(3001)
    counts = np.bincount(equal_mass(confidence))
    assert len(counts) == BINS
    assert set(counts) == {200, 201}
    order = confidence.argsort()
    assert (np.diff(equal_mass(confidence)[order]) >= 0).all()


def test_equal_confidences_share_a_bin_whatever_the_order_of_the_images() -> None:
    confidence = np.array([1.0, 0.5, 1.0, 0.5, 1.0, 0.4])
    numbers = equal_mass(confidence, 3)
    assert list(numbers) == [1, 0, 1, 0, 1, 0]
    assert list(equal_mass(confidence[::-1], 3)) == list(numbers[::-1])


def test_no_score_depends_on_a_shift_of_the_logits() -> None:
    logits, labels = drawn(200)
    moved = logits + np.random.default_rng(1).normal(scale=50, size=(200, 1))
    np.testing.assert_allclose(log_probabilities(moved), log_probabilities(logits), atol=1e-10)
    assert fit_temperature(moved, labels) == pytest.approx(fit_temperature(logits, labels), rel=1e-5)


def test_the_temperature_of_doubled_logits_is_doubled() -> None:
    logits, labels = drawn(2000)
    assert fit_temperature(2 * logits, labels) == pytest.approx(2 * fit_temperature(logits, labels), rel=1e-4)


def test_the_temperature_of_calibrated_logits_is_1_and_no_other_is_likelier() -> None:
    logits, labels = drawn(20_000)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(1, abs=0.03)
    least = nll(log_probabilities(logits, found), labels)
    for other in (0.9, 1.0, 1.1):
        assert least <= nll(log_probabilities(logits, other * found), labels)


def test_scaling_changes_no_answer() -> None:
    logits, _ = drawn(200)
    np.testing.assert_array_equal(log_probabilities(logits, 7.0).argmax(1), logits.argmax(1))


def test_a_model_that_is_always_right_has_a_small_temperature_and_no_infinite_one() -> None:
    assert 0.01 <= fit_temperature(np.eye(3), np.arange(3)) < 0.03
    assert 30 < fit_temperature(np.eye(3), np.array([1, 2, 0])) <= 100


@pytest.mark.parametrize("worst", [np.inf, -np.inf, np.nan, 3e38])
def test_logits_without_bounds_leave_every_score_finite(worst: float) -> None:
    logits = finite(np.array([[worst, 0, 1], [0, worst, 2], [worst, worst, worst]], np.float32))
    labels = np.array([1, 1, 0])
    log_probs, temperature = log_probabilities(logits), fit_temperature(logits, labels)
    confidence, correct = sureness(logits, labels)
    numbers = equal_width(confidence)
    found = (nll(log_probs, labels), brier(log_probs, labels), temperature, ece(confidence, correct, numbers))
    assert np.isfinite([*found, *ece_interval(confidence, correct, numbers)]).all()


def covered(truth: float, *, hotter: float, times: int = 50) -> float:
    """How often the interval holds the calibration error of a very large sample."""
    hits = 0
    for seed in range(times):
        logits, labels = drawn(2000, seed=seed)
        confidence, correct = sureness(logits / hotter, labels)
        low, high = ece_interval(confidence, correct, equal_width(confidence))
        hits += low <= truth <= high
    return hits / times


def test_the_interval_holds_the_truth_of_a_calibrated_and_of_an_uncalibrated_model() -> None:
    logits, labels = drawn(100_000, seed=9)
    confidence, correct = sureness(logits / 0.5, labels)
    truth = ece(confidence, correct, equal_width(confidence))
    assert truth > 0.05
    assert covered(truth, hotter=0.5) >= 0.9
    assert covered(0.0, hotter=1.0) >= 0.9
    _, high = ece_interval(confidence, correct, equal_width(confidence))
    assert high < truth + 0.02


def test_who_is_wrong_by_more_than_chance_has_an_interval_above_0() -> None:
    logits, labels = drawn(2000)
    confidence, correct = sureness(logits / 0.5, labels)
    low, _ = ece_interval(confidence, correct, equal_width(confidence))
    assert low > 0.1


def test_the_interval_is_the_same_again_and_holds_the_estimate() -> None:
    for seed in range(20):
        confidence, correct = sureness(*drawn(300, seed=seed))
        numbers = equal_width(confidence)
        low, high = ece_interval(confidence, correct, numbers)
        assert 0 <= low <= ece(confidence, correct, numbers) <= high
        assert ece_interval(confidence, correct, numbers) == (low, high)


def test_a_reliability_diagram_has_the_bins_that_are_not_empty_and_their_weighted_gap_is_the_error() -> None:
    confidence, correct = np.array([0.92, 0.7, 0.94]), np.array([True, False, True])
    numbers = equal_width(confidence, 10)
    bins = reliability_bins(confidence, correct, numbers)
    assert bins.confidence == pytest.approx([0.7, 0.93])
    assert bins.accuracy == pytest.approx([0, 1])
    assert bins.weight == pytest.approx([1 / 3, 2 / 3])
    gaps = np.abs(bins.confidence - bins.accuracy) * bins.weight
    assert gaps.sum() == pytest.approx(ece(confidence, correct, numbers))
