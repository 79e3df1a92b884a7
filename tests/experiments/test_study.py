"""A whole study in one process: what each run logs, and that runs made one by one equal the study's.

Not covered: `mlflow run` (test_mlflow_run.py) and accuracy worth having, which takes more epochs than a test has.
"""

import json
from contextlib import contextmanager

import pytest

from kdflow.tracking.record import WEIGHTS_FOLDER
from kdflow.tracking.run import Run
from kdflow.tracking.store_runs import StoreRuns
from tests.experiments.conftest import student_config, teacher_config

EVERY_EPOCH = {
    "train/loss",
    "train/label_loss",
    "train/accuracy",
    "val/loss",
    "val/label_loss",
    "val/accuracy",
    "speed/epoch_seconds",
    "speed/images_per_second",
    "learning_rate",
}
WITH_A_TEACHER = {
    "val/teacher_kl",
    "val/teacher_agreement",
}
BESIDE_THE_TEACHER = {
    "speed/latency_to_teacher",
    "speed/throughput_to_teacher",
}
ONCE = {
    "speed/latency_ms",
    "speed/batch_images_per_second",
    "final/train_accuracy",
    "final/val_accuracy",
    "final/test_accuracy",
    "final/test_loss",
}


@pytest.fixture(scope="module")
def client(study):
    from mlflow import MlflowClient

    return MlflowClient()


def test_a_study_is_a_teacher_and_a_student_for_each_alpha(study):
    assert [row.role for row in study.rows] == ["teacher", "student", "student", "student"]
    assert [row.alpha for row in study.rows] == [None, 1.0, 0.5, 0.0]
    assert study.footnotes == ()


@pytest.mark.usefixtures("small_data")
def test_a_run_says_on_what_it_computed_and_not_that_this_was_left_open(client):
    from kdflow.experiments.commands import run_student

    trained = run_student(student_config(alpha=1, epochs=1, device="auto", precision="auto", threads=0))
    data = client.get_run(trained.run_id).data
    settled = {name: data.params[name] for name in ("device", "precision", "threads")}
    assert settled["device"] in ("cpu", "cuda")
    assert settled["precision"] in ("bf16", "fp32")
    assert int(settled["threads"]) >= 1
    assert settled == {name: data.tags[f"kdflow.{name}"] for name in settled}


def test_every_run_of_a_study_is_finished_and_nested_in_it(study, client):
    runs = [client.get_run(row.run_id) for row in study.rows]
    parents = {run.data.tags["mlflow.parentRunId"] for run in runs}
    assert len(parents) == 1
    assert {run.info.status for run in [*runs, client.get_run(parents.pop())]} == {"FINISHED"}


def test_metrics_are_named_as_designed_and_logged_at_epochs_from_1(study, client):
    for row in study.rows:
        expected = EVERY_EPOCH | (WITH_A_TEACHER if row.role == "student" else set())
        expected |= {"train/distill_loss"} if row.alpha in (0, 0.5) else set()
        once = ONCE | (BESIDE_THE_TEACHER if row.role == "student" else set())
        assert set(client.get_run(row.run_id).data.metrics) == expected | once
        for name in expected:
            assert [metric.step for metric in client.get_metric_history(row.run_id, name)] == [
                *range(1, row.epochs + 1)
            ]
        for name in once:
            assert len(client.get_metric_history(row.run_id, name)) == 1


def test_the_row_of_a_run_has_the_figures_that_the_run_logged(study, client):
    for row in study.rows:
        metrics = client.get_run(row.run_id).data.metrics
        assert row.test_accuracy == metrics["final/test_accuracy"]
        assert row.gap is None or row.gap == row.test_accuracy - study.rows[0].test_accuracy
        assert row.history["val/accuracy"][-1] == metrics["val/accuracy"]


def test_every_run_says_which_data_it_saw(study, client):
    for row in study.rows:
        run = client.get_run(row.run_id)
        inputs = {entry.tags[0].value: entry.dataset for entry in run.inputs.dataset_inputs}
        assert set(inputs) == {"train", "validation", "test"}
        assert {dataset.digest for dataset in inputs.values()} == {run.data.tags["kdflow.data_digest"]}
        assert json.loads(inputs["test"].profile)["images"] == 360


def test_only_students_with_a_share_of_the_teacher_name_it(study, client):
    teacher, *students = study.rows
    for row in students:
        tags = client.get_run(row.run_id).data.tags
        assert tags.get("kdflow.teacher_run_id") == (None if row.alpha == 1 else teacher.run_id)


def test_a_run_keeps_its_loss_curves_environment_weights_and_card(study, client):
    for row in study.rows:
        artifacts = {item.path for item in client.list_artifacts(row.run_id)}
        artifacts |= {item.path for item in client.list_artifacts(row.run_id, WEIGHTS_FOLDER)}
        assert {"loss_curves.png", "environment.json", "weights/weights.pt", "weights/card.json"} <= artifacts


def test_the_run_of_a_study_keeps_tables_and_figures(study, client):
    from kdflow.tracking.experiments import experiment_id

    (run,) = client.search_runs([experiment_id()], "tags.`kdflow.role` = 'study'", max_results=1)
    assert {item.path for item in client.list_artifacts(run.info.run_id)} == {
        "config.yaml",
        "comparison.md",
        "comparison.csv",
        "comparison.json",
        "arms.csv",
        "report.html",
        "figures",
    }
    drawn = {item.path for item in client.list_artifacts(run.info.run_id, "figures")}
    assert {
        f"figures/{name}.{kind}" for name in ("test_accuracy", "loss_curves") for kind in ("png", "svg", "pdf")
    } <= drawn


def test_the_comparison_page_names_every_run(study):
    page = StoreRuns().comparison_page([row.run_id for row in study.rows])
    assert "127.0.0.1" in page
    assert all(row.run_id in page for row in study.rows)


def test_teacher_and_student_made_one_by_one_equal_those_of_the_study(study):
    import torch

    from kdflow.experiments.commands import run_student, run_teacher
    from kdflow.models.weights import read_weights

    teacher = run_teacher(teacher_config())
    students = [run_student(student_config(alpha=alpha)) for alpha in (1, 0)]
    in_study = {row.alpha: row for row in study.rows}
    for alone, alpha in ((teacher, None), (students[0], 1.0), (students[1], 0.0)):
        assert alone.run_id != in_study[alpha].run_id
        assert alone.scores["final/test_accuracy"] == in_study[alpha].test_accuracy
        with (
            StoreRuns().weights_of(alone.run_id) as one,
            StoreRuns().weights_of(in_study[alpha].run_id) as other,
        ):
            ours, theirs = read_weights(one), read_weights(other)
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_student_of_the_same_stream_asks_the_teacher_nothing_and_ends_the_same(study, monkeypatch):
    import torch

    from kdflow.experiments.commands import run_student
    from kdflow.models.weights import read_weights
    from kdflow.teachers.frozen import Frozen

    asked = []

    @contextmanager
    def teaching(self, taps, runtime, _teaching=Frozen.teaching):
        with _teaching(self, taps, runtime) as teach:
            yield lambda images, *rest: asked.append(len(images)) or teach(images, *rest)

    monkeypatch.setattr(Frozen, "teaching", teaching)
    in_study = next(row for row in study.rows if row.alpha == 0.5)
    teacher = next(row for row in study.rows if row.role == "teacher")
    alone = run_student(student_config(alpha=0.5, teacher=teacher.run_id))
    assert asked == [2], "only the sample that a distiller learns shapes from"
    with StoreRuns().weights_of(alone.run_id) as one, StoreRuns().weights_of(in_study.run_id) as other:
        ours, theirs = read_weights(one), read_weights(other)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize("moment", ["params", "dataset", "text"])
@pytest.mark.parametrize(("interruption", "status"), [(KeyboardInterrupt, "KILLED"), (RuntimeError, "FAILED")])
def test_a_run_that_is_interrupted_before_it_trains_is_closed(store, client, monkeypatch, moment, interruption, status):
    from kdflow.experiments.commands import run_student

    def interrupt(*_):
        raise interruption

    monkeypatch.setattr(Run, moment, interrupt)
    with pytest.raises(interruption):
        run_student(student_config(alpha=1))
    from kdflow.tracking.experiments import experiment_id

    (newest,) = client.search_runs([experiment_id()], order_by=["attributes.start_time DESC"], max_results=1)
    assert newest.info.status == status


def test_a_training_run_reads_the_test_split_in_its_final_evaluation_only(store, monkeypatch):
    from kdflow.data import Dataset
    from kdflow.experiments import commands, session, training_runs

    class Watched(Dataset):
        def __getattribute__(self, name):
            if name == "test":
                reads.append(scoring[-1:])
            return super().__getattribute__(name)

    def watched_load(config, load=session.load):
        return Watched(**vars(load(config)))

    def watched_evaluation(*arguments, final_evaluation=training_runs.final_evaluation, **options):
        scoring.append("final")
        try:
            return final_evaluation(*arguments, **options)
        finally:
            scoring.pop()

    reads, scoring = [], []
    monkeypatch.setattr(session, "load", watched_load)
    monkeypatch.setattr(training_runs, "final_evaluation", watched_evaluation)
    commands.run_student(student_config(alpha=1, epochs=1))
    counted_only = 3  # how many images there are: for the screen, for the lineage and for the description
    assert reads.count(["final"]) == 1
    assert reads.count([]) == counted_only


def test_a_study_knows_how_its_validation_images_were_drawn(study):
    assert study.validation == "cropped", "digits are never mirrored"
