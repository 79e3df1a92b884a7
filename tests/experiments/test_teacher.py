"""Which teacher a student finds, and which it refuses. Damage to its files is in tests/models/test_weights.py."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from kdflow.common.errors import TeacherError, TrackingError
from kdflow.config import DataConfig
from kdflow.data import load
from kdflow.experiments import find_teacher as teachers
from kdflow.experiments.commands import run_student
from kdflow.tracking.store_runs import StoreRuns
from tests.experiments.conftest import student_config


@pytest.fixture(scope="module")
def digits(store):
    return load(DataConfig(dataset="digits"))


@pytest.fixture(scope="module")
def teacher_id(study):
    return study.rows[0].run_id


def students_in_store():
    return len(StoreRuns().runs("student"))


@pytest.fixture(scope="module")
def logged_id(study):
    from mlflow import MlflowClient

    (logged,) = MlflowClient().search_logged_models(["1"], f"source_run_id = '{study.rows[0].run_id}'")
    return logged.model_id


@pytest.mark.parametrize(
    "reference",
    [
        "{run}",
        "{begin}",
        "runs:/{run}/model",
        "runs:/{run}",
        "runs:/{begin}/model",
        "models:/kdflow-teacher-digits/1",
        "models:/kdflow-teacher-digits@champion",
        "models:/{logged}",
    ],
)
def test_a_teacher_is_found_by_every_address_that_mlflow_has_for_it(reference, teacher_id, logged_id, digits):
    found = teachers.find(reference.format(run=teacher_id, begin=teacher_id[:8], logged=logged_id), digits, StoreRuns())
    assert found.run_id == teacher_id
    assert not found.model.training
    assert not any(parameter.requires_grad for parameter in found.model.parameters())


@pytest.mark.parametrize("which", ["latest", "None"])
def test_latest_and_a_stage_mean_the_newest_version(study, which):
    from mlflow import MlflowClient

    name = "kdflow-teacher-digits"
    newest = max(MlflowClient().search_model_versions(f"name = '{name}'"), key=lambda one: int(one.version))
    assert StoreRuns().resolve_run(f"models:/{name}/{which}") == newest.run_id


def test_a_beginning_that_several_runs_have_is_refused_and_they_are_listed(study, digits, monkeypatch):
    class Alike(StoreRuns):
        def runs(self, *roles):
            return [replace(record, run_id=f"abcd{n}") for n, record in enumerate(super().runs(*roles))]

    with pytest.raises(TeacherError, match=r"abcd: \d+ runs begin like that: abcd0 \(student\), .*more of its"):
        teachers.find("abcd", digits, Alike())


def test_the_champion_of_the_same_data_and_split_is_taken_by_default(study, digits):
    """Newer is not better, and one of other data is no teacher at all."""
    from kdflow.experiments.commands import run_teacher
    from tests.experiments.conftest import teacher_config

    worse = run_teacher(teacher_config(epochs=1, seed=4, lr=0.001)).run_id
    records = {one.run_id: one for one in StoreRuns().runs("teacher")}
    found = teachers.find("", digits, StoreRuns()).run_id
    assert found != worse
    ours = [one for one in records.values() if one.tags["kdflow.split_digest"] == digits.split_digest]
    assert records[found].metrics["final/val_accuracy"] == max(one.metrics["final/val_accuracy"] for one in ours)


def test_a_student_says_and_logs_which_teacher_it_has(study, digits, capsys):
    from mlflow import MlflowClient

    run = run_student(student_config(alpha=0, epochs=1, distiller="hard-targets", seed=2))
    teacher_id = teachers.find("", digits, StoreRuns()).run_id
    record, address = StoreRuns().record(teacher_id), StoreRuns().address(teacher_id)
    said = f"teacher: {address} (run {teacher_id}, test {100 * record.metrics['final/test_accuracy']:.2f} %)"
    assert address.startswith("models:/kdflow-teacher-digits/")
    assert said in capsys.readouterr().out.partition("epoch 1/1")[0].splitlines(), "before training"
    params = MlflowClient().get_run(run.run_id).data.params
    assert (params.get("teacher"), params["teacher_run_id"]) == (None, teacher_id)


@pytest.mark.parametrize("command", ["student", "study"])
def test_a_distiller_that_cannot_look_into_the_teacher_that_is_found_says_so_before_training(
    command, digits, tmp_path, monkeypatch
):
    from kdflow import models
    from kdflow.common.errors import UsageError
    from kdflow.config import StudyConfig, configure
    from kdflow.experiments import session
    from kdflow.teachers.frozen import Frozen

    session = session.Session(
        command,
        configure(StudyConfig(), distillers="rkd") if command == "study" else student_config(distiller="rkd"),
        digits,
        None,
        None,
        None,
    )
    frozen = Frozen(models.build("torchvision:squeezenet1_1", 10, seed=0))
    monkeypatch.setattr(teachers, "find", lambda *_: teachers.Teacher("t" * 32, frozen, "s" * 64))
    monkeypatch.setattr(teachers, "described", lambda *_: "models:/small/1")
    with pytest.raises(UsageError, match=r"rkd cannot look into teacher models:/small/1: .*no linear layer"):
        session.find_teacher(session.config)


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("0" * 32, "no such run"),
        ("../etc/passwd", "no such run"),
        ("models:/kdflow-teacher-digits/999", "has versions 1.* and @champion"),
        ("models:/kdflow-teacher-digits@nobody", "has versions 1.* and @champion"),
        ("models:/kdflow-teacher-digits/Production", "has versions 1"),
        ("models:/m-" + "0" * 32, "no such logged model"),
        ("runs:/", "at least its first 4 characters"),
        ("runs:/nothing/model", "no such run"),
        ("abc", "at least its first 4 characters"),
        ("models:/kdflow-teacher-digits@", "has versions 1"),
        ("models:/nothing/1", "no model 'nothing' is registered"),
        ("models:/o'clock/1", 'no model "o\'clock" is registered'),
        ("models:/", "no model '' is registered"),
        ("a'b \" c", "no such run"),
        ("\N{SNOWMAN}" * 300, "no such run"),
    ],
)
@pytest.mark.fault
def test_a_teacher_that_is_not_there_is_one_line(reference, words, study, digits, record_property):
    record_property("faults", 1)
    with pytest.raises(TeacherError, match=words) as caught:
        teachers.find(reference, digits, StoreRuns())
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("data", [{"split_seed": 1}, {"val_fraction": 0.2}, {"augment_val": False}])
def test_a_teacher_of_another_split_is_refused_since_it_has_seen_the_validation_images(data, teacher_id):
    with pytest.raises(TeacherError, match="another split"):
        teachers.find(teacher_id, load(DataConfig(dataset="digits", **data)), StoreRuns())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ("a", "b")}, "it knows 10 classes, digits has 2"),
        ({"classes": tuple("abcdefghij")}, "other data"),
        ({"digest": "0" * 32}, "other data"),
        ({"mean": (0.5, 0.5, 0.5)}, "normalised otherwise"),
        ({"std": (1.0, 1.0, 1.0)}, "normalised otherwise"),
    ],
)
@pytest.mark.fault
def test_a_teacher_of_other_data_is_refused_before_its_weights_are_read(
    changes, words, teacher_id, digits, monkeypatch, record_property
):
    monkeypatch.setattr(teachers, "read_network", lambda *_: pytest.fail("the weights were read"))
    record_property("faults", 1)
    with pytest.raises(TeacherError, match=words) as caught:
        teachers.find(teacher_id, replace(digits, **changes), StoreRuns())
    assert "kdflow teacher --dataset digits" in str(caught.value)


def test_a_teacher_is_taken_whatever_the_last_bits_of_mean_and_std(teacher_id, digits):
    elsewhere = replace(digits, mean=tuple(value * (1 + 1e-15) for value in digits.mean))
    assert teachers.find(teacher_id, elsewhere, StoreRuns()).run_id == teacher_id


def test_a_server_that_does_not_answer_is_not_taken_for_a_missing_run(store, monkeypatch, digits):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(TrackingError, match=r"http://127\.0\.0\.1:9"):
        teachers.find("0" * 32, digits, StoreRuns())


def test_without_a_teacher_of_these_data_the_error_says_how_to_train_one(study):
    with pytest.raises(TeacherError, match="kdflow teacher --dataset digits"):
        teachers.find("", load(DataConfig(dataset="digits", split_seed=7)), StoreRuns())


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

    from kdflow.tracking.experiments import experiment_id

    run = MlflowClient().create_run(experiment_id(), tags={"kdflow.role": "teacher"})
    MlflowClient().update_run(run.info.run_id, status=status)
    with pytest.raises(TeacherError, match=words):
        teachers.find(run.info.run_id, digits, StoreRuns())
    MlflowClient().delete_run(run.info.run_id)
    with pytest.raises(TeacherError, match="deleted"):
        teachers.find(run.info.run_id, digits, StoreRuns())


def test_a_run_without_weights_is_no_teacher(store, digits):
    from mlflow import MlflowClient

    from kdflow.tracking.experiments import experiment_id

    run = MlflowClient().create_run(experiment_id())
    MlflowClient().set_terminated(run.info.run_id)
    with pytest.raises(TeacherError, match="has no weights"):
        teachers.find(run.info.run_id, digits, StoreRuns())


def given(card, folder, model):
    """Runs of which any is a teacher with these weights and this card."""
    import json

    from kdflow.models import weights

    weights.save(folder, model, {})
    sealed = json.loads((folder / weights.CARD).read_text())
    (folder / weights.CARD).write_text(json.dumps(sealed | card))

    class Given(StoreRuns):
        def resolve_run(self, reference):
            return reference

        @contextmanager
        def weights_of(self, run_id):
            yield folder

    return Given()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": None}, "does not say classes"),
        ({"classes": 10, "mean": "grey"}, "does not say classes, mean"),
        ({"mean": ["a", "b", "c"]}, "must be real number"),
        ({"mean": []}, "normalised otherwise"),
        ({"image_size": 64}, "images of 64x64, digits has 32x32"),
        ({"model": "small-cn"}, "small-cnn"),
        ({"model": "alexnet"}, "Missing key.*features"),
        ({"data_digest": 7}, "does not say data_digest"),
    ],
)
def test_a_card_that_does_not_describe_a_fitting_teacher_is_one_line(changes, words, digits, tmp_path, record_property):
    from kdflow import models
    from kdflow.tracking.run import data_tags

    card = {"model": "small-cnn", "classes": list(digits.classes), "mean": list(digits.mean), "std": list(digits.std)}
    card |= {tag.removeprefix("kdflow."): value for tag, value in data_tags(digits).items()}
    model = models.build("small-cnn", 10, seed=0)
    assert teachers.find("run", digits, given(card, tmp_path, model)).run_id == "run"
    record_property("faults", 1)
    with pytest.raises(TeacherError, match=words) as caught:
        teachers.find("run", digits, given(card | changes, tmp_path, model))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.fault
def test_a_teacher_whose_artifacts_are_gone_is_told_with_what_is_left(study, digits, record_property):
    import shutil
    from urllib.parse import urlparse
    from urllib.request import url2pathname

    from mlflow import MlflowClient

    from kdflow.experiments.commands import run_teacher
    from tests.experiments.conftest import teacher_config

    run_id = run_teacher(teacher_config(epochs=1, seed=9)).run_id
    folder = url2pathname(urlparse(MlflowClient().get_run(run_id).info.artifact_uri).path)
    record_property("faults", 2)
    shutil.rmtree(f"{folder}/weights")
    with pytest.raises(TeacherError, match=r"has no weights \(it has .*environment.json"):
        teachers.find(run_id, digits, StoreRuns())
    shutil.rmtree(folder)
    with pytest.raises(TeacherError, match=f"its artifacts should be in {folder}, which is not there"):
        teachers.find(run_id, digits, StoreRuns())
    MlflowClient().delete_run(run_id)


def test_a_student_may_teach_and_is_compared_as_the_teacher(study):
    from kdflow.config import CompareConfig
    from kdflow.experiments.commands import run_compare

    graduate = next(row for row in study.rows if row.alpha == 1)
    taught = run_student(student_config(alpha=0, epochs=1, teacher=graduate.run_id))
    rows = run_compare(CompareConfig(teacher=graduate.run_id)).rows
    assert [row.run_id for row in rows if row.role == "teacher"] == [graduate.run_id]
    assert taught.run_id in {row.run_id for row in rows}
