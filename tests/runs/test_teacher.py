"""Which teacher a student finds, and which it refuses. Damage to a teacher's files is in tests/test_weights.py."""

from dataclasses import replace

import pytest

from kdflow import teacher as teachers
from kdflow.config import DataConfig
from kdflow.data import load
from kdflow.errors import TeacherError, TrackingError
from kdflow.study import run_student
from kdflow.tracking import InStore
from tests.runs.conftest import student_config


@pytest.fixture(scope="module")
def digits(store):
    return load(DataConfig(dataset="digits"))


@pytest.fixture(scope="module")
def teacher_id(study):
    return study.rows[0].run_id


def students_in_store():
    return len(InStore().runs("student"))


@pytest.mark.parametrize(
    "reference", ["{run}", "models:/kdflow-teacher-digits/1", "models:/kdflow-teacher-digits@champion"]
)
def test_a_teacher_is_found_by_run_version_and_alias(reference, teacher_id, digits):
    found = teachers.find(reference.format(run=teacher_id), digits, InStore())
    assert not found.model.training
    assert not any(parameter.requires_grad for parameter in found.model.parameters())


def test_the_newest_teacher_of_the_same_data_is_found_by_default(study, digits):
    assert teachers.find("", digits, InStore()).run_id


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("0" * 32, "no such run"),
        ("../etc/passwd", "no such run"),
        ("models:/kdflow-teacher-digits/999", "has versions 1"),
        ("models:/kdflow-teacher-digits@nobody", "has versions 1"),
        ("models:/nothing/1", "no model 'nothing' is registered"),
    ],
)
def test_a_teacher_that_is_not_there_is_one_line(reference, words, study, digits):
    with pytest.raises(TeacherError, match=words) as caught:
        teachers.find(reference, digits, InStore())
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("data", [{"split_seed": 1}, {"val_fraction": 0.2}, {"augment_val": False}])
def test_a_teacher_of_another_split_is_refused_since_it_has_seen_the_validation_images(data, teacher_id):
    with pytest.raises(TeacherError, match="another split"):
        teachers.find(teacher_id, load(DataConfig(dataset="digits", **data)), InStore())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("a", "b")}, "it knows 10 classes, digits has 2"),
        ({"classes": tuple("abcdefghij")}, "other data"),
        ({"digest": "0" * 32}, "other data"),
    ],
)
def test_a_teacher_of_other_data_is_refused(changes, words, teacher_id, digits):
    with pytest.raises(TeacherError, match=words) as caught:
        teachers.find(teacher_id, replace(digits, **changes), InStore())
    assert "kdflow teacher --dataset digits" in str(caught.value)


def test_a_teacher_is_taken_whatever_the_last_bits_of_mean_and_std(teacher_id, digits):
    elsewhere = replace(digits, mean=tuple(value * (1 + 1e-15) for value in digits.mean))
    assert teachers.find(teacher_id, elsewhere, InStore()).run_id == teacher_id


def test_a_server_that_does_not_answer_is_not_taken_for_a_missing_run(store, monkeypatch, digits):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9"):
        teachers.find("0" * 32, digits, InStore())


def test_without_a_teacher_of_these_data_the_error_says_how_to_train_one(study):
    with pytest.raises(TeacherError, match="kdflow teacher --dataset digits"):
        teachers.find("", load(DataConfig(dataset="digits", split_seed=7)), InStore())


def test_a_student_without_a_teacher_leaves_no_run(study):
    before = students_in_store()
    with pytest.raises(TeacherError):
        run_student(student_config(alpha=0, split_seed=7))
    assert students_in_store() == before


def test_alpha_1_looks_for_no_teacher(store, monkeypatch):
    monkeypatch.setattr(teachers, "find", lambda *_: pytest.fail("a teacher was looked for"))
    run = run_student(student_config(alpha=1, epochs=1, split_seed=7))
    assert run.scores["final/test_accuracy"] > 0


@pytest.mark.parametrize(("status", "words"), [("FAILED", "FAILED"), ("KILLED", "KILLED"), ("RUNNING", "RUNNING")])
def test_a_teacher_that_did_not_finish_is_refused(status, words, store, digits):
    from mlflow import MlflowClient

    from kdflow.tracking.store import experiment_id

    run = MlflowClient().create_run(experiment_id(), tags={"kdflow.role": "teacher"})
    MlflowClient().update_run(run.info.run_id, status=status)
    with pytest.raises(TeacherError, match=words):
        teachers.find(run.info.run_id, digits, InStore())
    MlflowClient().delete_run(run.info.run_id)
    with pytest.raises(TeacherError, match="deleted"):
        teachers.find(run.info.run_id, digits, InStore())


def test_a_run_without_weights_is_no_teacher(store, digits):
    from mlflow import MlflowClient

    from kdflow.tracking.store import experiment_id

    run = MlflowClient().create_run(experiment_id())
    MlflowClient().set_terminated(run.info.run_id)
    with pytest.raises(TeacherError, match="has no weights"):
        teachers.find(run.info.run_id, digits, InStore())
