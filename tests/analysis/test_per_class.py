"""Accuracy and confusion by class, by hand."""

import numpy as np
import pytest

from kdflow.analysis.per_class import class_accuracy, confusion
from tests.analysis.made import made_comparison, told
from tests.comparisons import GRID, LABELS, MIXES

TRUTH = [0, 0, 1, 1, 2, 2]
PREDICTIONS = {
    LABELS[0].run_id: told([0, 1, 1, 1, 0, 0], TRUTH),
    LABELS[1].run_id: told([0, 1, 1, 1, 2, 0], TRUTH),
    MIXES[0].run_id: told([0, 0, 1, 2, 0, 0], TRUTH),
    MIXES[1].run_id: told([0, 0, 1, 1, 2, 2], TRUTH),
    MIXES[2].run_id: told([1, 1, 1, 1, 2, 2], TRUTH),
}


def test_accuracy_is_the_mean_over_seeds_and_the_gain_that_over_pairs() -> None:
    found = class_accuracy(GRID, PREDICTIONS)
    assert list(found["class"]) == 2 * ["airplane", "automobile", "bird"]
    labels, mixed = found[found["arm"] == 1], found[found["arm"] == 2]
    assert list(labels["accuracy"]) == pytest.approx([1 / 2, 1, 1 / 4])
    assert list(labels["gain"]) == [None, None, None]
    assert list(mixed["accuracy"]) == pytest.approx([2 / 3, 5 / 6, 2 / 3])
    # The third seed has no partner: (1/2 + 1/2) / 2, (-1/2 + 0) / 2, (0 + 1/2) / 2.
    assert list(mixed["gain"]) == pytest.approx([1 / 2, -1 / 4, 1 / 4])


def test_confusion_is_the_mean_share_of_answers_to_a_class() -> None:
    found = confusion(GRID, PREDICTIONS)
    assert set(found) == {1, 2}, "of the teachers no predictions were kept"
    np.testing.assert_allclose(found[1], [[1 / 2, 1 / 2, 0], [0, 1, 0], [3 / 4, 0, 1 / 4]])
    np.testing.assert_allclose(found[2].sum(1), 1)


def test_the_diagonal_is_the_accuracy_and_its_mean_that_of_all_images() -> None:
    comparison, predictions = made_comparison(classes=4, images=400)
    shares, accuracy = confusion(comparison, predictions), class_accuracy(comparison, predictions)
    for arm, mean in enumerate(comparison.arms["test_accuracy_mean"]):
        of_arm = accuracy[accuracy["arm"] == arm]["accuracy"]
        np.testing.assert_allclose(shares[arm].diagonal(), list(of_arm))
        assert of_arm.mean() == pytest.approx(mean)


def test_a_class_without_test_images_has_no_accuracy() -> None:
    seen = {MIXES[0].run_id: told([0, 1], [0, 0]), LABELS[0].run_id: told([0, 0], [0, 0])}
    found = class_accuracy(GRID, seen)
    assert list(found["accuracy"]) == [1.0, None, None, 0.5, None, None]
    assert list(found["gain"])[3:] == [-0.5, None, None]
    assert np.isnan(confusion(GRID, seen)[2][1:]).all()


def test_of_no_predictions_there_is_nothing() -> None:
    assert class_accuracy(GRID, {}).empty
    assert confusion(GRID, {}) == {}
