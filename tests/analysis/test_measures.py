"""What is measured of runs and of arms: whose teacher, what does not apply, means and deviations.

The values of single scores are in test_calibration.py and test_fidelity.py.
"""

from dataclasses import replace

import numpy as np
import pytest
from pandas import DataFrame
from sklearn.metrics import log_loss

from kdflow.analysis.comparison import Comparison
from kdflow.analysis.measures import MEASURES, arm_measures, measures, seed_agreement
from kdflow.analysis.seen import Seen, seen
from kdflow.evaluation.predictions import Predictions
from tests.analysis.made import Made, made_comparison, told
from tests.comparisons import EMPTY, GRID, LABELS, MIXES, TEACHERS

FIDELITY = [name for name in MEASURES if "teacher" in name or name == "errors_shared"]
TRUTH = [0, 1, 2, 0]
TAUGHT = replace(
    GRID,
    teachers={
        one.run_id: teacher.run_id for arm in (LABELS, MIXES) for one, teacher in zip(arm, TEACHERS, strict=True)
    },
)
"""Three seeds, each with a teacher, a student of labels and one of both."""


@pytest.fixture(scope="module")
def made() -> Made:
    return made_comparison()


def by_run(comparison: Comparison, predictions: dict[str, Predictions]) -> dict[str, dict[str, float | None]]:
    return measures(comparison, predictions).set_index("run_id").to_dict("index")


def test_a_student_is_measured_against_its_own_teacher() -> None:
    predictions = {
        TEACHERS[0].run_id: told([0, 1, 2, 1], TRUTH),
        TEACHERS[1].run_id: told([1, 2, 0, 1], TRUTH),
        MIXES[0].run_id: told([0, 1, 0, 1], TRUTH),
        MIXES[1].run_id: told([0, 1, 0, 1], TRUTH),
        LABELS[0].run_id: told([0, 1, 2, 1], TRUTH),
    }
    found = by_run(TAUGHT, predictions)
    assert found[MIXES[0].run_id]["teacher_agreement"] == pytest.approx(3 / 4)
    assert found[MIXES[0].run_id]["accuracy_where_teacher_right"] == pytest.approx(2 / 3)
    assert found[MIXES[0].run_id]["accuracy_where_teacher_wrong"] == 0
    assert found[MIXES[0].run_id]["errors_shared"] == 1
    assert found[MIXES[1].run_id]["teacher_agreement"] == pytest.approx(2 / 4)
    assert found[MIXES[1].run_id]["accuracy_where_teacher_right"] is None
    assert found[LABELS[0].run_id]["teacher_agreement"] == 1
    assert found[LABELS[0].run_id]["teacher_kl"] == pytest.approx(0)


def test_every_run_has_a_line_in_the_order_of_the_runs(made: Made) -> None:
    table = measures(*made)
    assert list(table["run_id"]) == list(made.comparison.runs["run_id"])
    assert list(table.columns) == ["run_id", *MEASURES]


def test_a_teacher_has_no_fidelity_and_all_else(made: Made) -> None:
    lines = measures(*made).to_dict("records")
    for line, role in zip(lines, made.comparison.runs["role"], strict=True):
        missing = [name for name, value in line.items() if value is None]
        assert missing == (FIDELITY if role == "teacher" else [])


def test_a_run_of_which_no_predictions_were_kept_has_nothing_and_its_students_no_fidelity(made: Made) -> None:
    gone = made.comparison.rows[0].run_id
    found = by_run(made.comparison, {run_id: one for run_id, one in made.predictions.items() if run_id != gone})
    assert set(found[gone].values()) == {None}
    for student, teacher in made.comparison.teachers.items():
        assert (found[student]["teacher_kl"] is None) == (teacher == gone)
        assert found[student]["nll"] is not None
    assert measures(made.comparison, {}).drop(columns="run_id").isna().all(axis=None)


def test_answers_to_other_images_are_not_compared() -> None:
    own, other = told([0, 1, 2, 0], TRUTH), told([0, 1, 2, 0], TRUTH)
    other = replace(other, test=replace(other.test, index=other.test.index[::-1]))
    found = by_run(TAUGHT, {TEACHERS[0].run_id: other, MIXES[0].run_id: own})
    assert found[MIXES[0].run_id]["teacher_agreement"] is None


def test_without_validation_images_there_is_no_temperature(made: Made) -> None:
    run_id, kept = next(iter(made.predictions.items()))
    val = replace(kept.val, logits=kept.val.logits[:0], labels=kept.val.labels[:0], index=kept.val.index[:0])
    found = by_run(made.comparison, {run_id: replace(kept, val=val)})[run_id]
    assert [name for name, value in found.items() if value is None and name not in FIDELITY] == [
        "temperature",
        *(name for name in MEASURES if name.endswith("_scaled")),
    ]


def test_the_temperature_is_fitted_on_validation_images_alone(made: Made) -> None:
    one = next(iter(made.predictions.values()))
    other = replace(one, test=replace(one.test, logits=one.test.logits * 3))
    assert Seen(other).temperature == Seen(one).temperature
    hot = replace(one, val=replace(one.val, logits=one.val.logits * 3))
    assert Seen(hot).temperature == pytest.approx(3 * (Seen(one).temperature or 0), rel=1e-4)


def test_scaling_makes_an_oversure_model_likelier(made: Made) -> None:
    run_id, kept = next(iter(made.predictions.items()))
    oversure = Predictions(
        *(replace(part, logits=part.logits * 4) for part in (kept.val, kept.test)), classes=kept.classes
    )
    found = by_run(made.comparison, {run_id: oversure})[run_id]
    for name in ("nll", "brier", "ece_width", "ece_mass"):
        assert found[f"{name}_scaled"] < found[name]
    assert found["ece_low"] < found["ece_width"] < found["ece_high"]


def test_the_likelihood_is_that_of_scikit_learn(made: Made) -> None:
    found = by_run(*made)
    for run_id, one in seen(*made):
        probabilities = np.exp(one.raw.log_probs)
        assert found[run_id]["nll"] == pytest.approx(log_loss(one.labels, probabilities))


def test_every_measure_says_what_it_is() -> None:
    headings = [MEASURES[name].heading for name in MEASURES]
    assert len(set(headings)) == len(headings)
    assert {MEASURES[name].unit for name in MEASURES} == {"fraction", "nats", ""}
    assert {MEASURES[name].better for name in MEASURES} == {"up", "down", ""}


def test_an_arm_is_mean_and_sample_deviation_of_its_runs_whatever_the_columns() -> None:
    cost = DataFrame({"run_id": [*(row.run_id for row in MIXES), LABELS[1].run_id], "bytes": [1.0, 2.0, 6.0, 4.0]})
    found = arm_measures(GRID, cost)
    assert list(found["arm"]) == [0, 1, 2]
    assert list(found["bytes_mean"]) == [None, 4.0, 3.0]
    assert list(found["bytes_std"])[:2] == [None, None]
    assert found["bytes_std"][2] == pytest.approx(7**0.5)


def test_of_no_runs_there_is_nothing() -> None:
    assert measures(EMPTY, {}).empty
    assert arm_measures(EMPTY, measures(EMPTY, {})).empty


def test_arms_of_measures_are_those_of_the_comparison(made: Made) -> None:
    found = arm_measures(made.comparison, measures(*made))
    assert list(found["arm"]) == list(range(len(made.comparison.arms)))
    assert found.loc[0, "teacher_kl_mean"] is None
    assert found["nll_mean"].notna().all()


def test_two_seeds_of_alpha_1_say_how_much_agreement_there_is_anyhow() -> None:
    predictions = {
        LABELS[0].run_id: told([0, 1, 2, 0], TRUTH),
        LABELS[1].run_id: told([0, 1, 2, 1], TRUTH),
        LABELS[2].run_id: told([0, 1, 1, 1], TRUTH),
        MIXES[0].run_id: told([1, 2, 0, 1], TRUTH),
        TEACHERS[0].run_id: told([0, 0, 0, 0], TRUTH),
        TEACHERS[1].run_id: told([0, 0, 1, 1], TRUTH),
    }
    assert seed_agreement(TAUGHT, predictions) == pytest.approx((3 / 4 + 2 / 4 + 3 / 4) / 3)
    assert seed_agreement(TAUGHT, predictions, of="teacher") == pytest.approx(2 / 4)


def test_of_one_seed_there_is_no_such_agreement() -> None:
    assert seed_agreement(TAUGHT, {LABELS[0].run_id: told(TRUTH, TRUTH)}) is None
    assert seed_agreement(*made_comparison(seeds=1)) is None
