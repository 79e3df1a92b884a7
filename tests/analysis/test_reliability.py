"""What a reliability diagram draws of an arm: the images of all its runs."""

import numpy as np
import pytest

from kdflow.analysis.measures import measures
from kdflow.analysis.reliability import reliability
from tests.analysis.made import made_comparison, told
from tests.comparisons import GRID, MIXES


def test_the_images_of_all_runs_of_an_arm_are_put_together() -> None:
    # e^2 / (e^2 + 2) = 0.787; three answers of four are right, and in the other run one.
    predictions = {
        MIXES[0].run_id: told([0, 1, 2, 1], [0, 1, 2, 0]),
        MIXES[1].run_id: told([1, 2, 0, 0], [0, 1, 2, 0]),
    }
    found = reliability(GRID, predictions)
    (raw,) = found[~found["scaled"]].to_dict("records")
    assert raw["arm"] == 2
    assert raw["confidence"] == pytest.approx(np.exp(2) / (np.exp(2) + 2))
    assert (raw["accuracy"], raw["weight"]) == (0.5, 1.0)
    assert found.loc[found["scaled"], "weight"].sum() == pytest.approx(1)


def test_of_one_run_the_weighted_gap_is_its_calibration_error() -> None:
    comparison, predictions = made_comparison(arms=2, seeds=1)
    found, measured = reliability(comparison, predictions), measures(comparison, predictions)
    gaps = (found["confidence"] - found["accuracy"]).abs() * found["weight"]
    for (arm, scaled), error in gaps.groupby([found["arm"], found["scaled"]]).sum().items():
        assert error == pytest.approx(measured.loc[arm, "ece_width_scaled" if scaled else "ece_width"])


def test_of_no_predictions_there_is_nothing() -> None:
    assert list(reliability(GRID, {}).columns) == ["arm", "scaled", "confidence", "accuracy", "weight"]
    assert reliability(GRID, {}).empty
