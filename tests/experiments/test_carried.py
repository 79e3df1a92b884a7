"""Another machine goes on with what was stopped, from what the store was given of it; what was taken over ends."""

from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from kdflow.common.errors import KdflowError
from kdflow.experiments.commands import run_student
from kdflow.tracking import carried
from tests.experiments.conftest import student_config
from tests.interruptions import SMALL, after_epoch, interrupted

pytestmark = pytest.mark.usefixtures("small_data")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def on(machine: str, **values: object):
    """A student whose folder of runs no other machine sees."""
    return student_config(**SMALL | {"epochs": 3}, reuse=True, checkpoints="store", runs_dir=machine, **values)


def given(run_id: str) -> list[str]:
    return [one.path for one in MlflowClient().list_artifacts(run_id, carried.FOLDER)]


def the_run():
    client = MlflowClient()
    ids = [one.experiment_id for one in client.search_experiments()]
    (run,) = client.search_runs(ids, "tags.`kdflow.role` = 'student'")
    return run


def stopped_on_one_machine() -> None:
    interrupted(lambda: run_student(on("one")), after_epoch(3))


def test_another_machine_goes_on_in_the_same_run_to_the_same_bits(capsys):
    stopped_on_one_machine()
    (archive,) = given(the_run().info.run_id)
    assert Path(archive).suffix == ".tar"
    capsys.readouterr()
    trained = run_student(on("other"))
    said = capsys.readouterr().out
    assert "brought from the store, where another machine left it" in said
    assert "going on after epoch 2 of 3" in said
    assert trained.run_id == the_run().info.run_id
    assert given(trained.run_id) == [], "nothing is left to go on with"
    history = MlflowClient().get_metric_history(trained.run_id, "train/loss")
    assert [metric.step for metric in history] == [1, 2, 3]
    whole = run_student(student_config(**SMALL | {"epochs": 3}, offline=True, runs_dir="whole"))
    assert all(torch.equal(one, whole.model.state_dict()[name]) for name, one in trained.model.state_dict().items())


def test_what_is_here_and_newer_is_not_replaced(capsys):
    stopped_on_one_machine()
    run_student(on("one"))
    assert "brought from the store" not in capsys.readouterr().out


def test_an_archive_that_is_damaged_is_passed_over(capsys, tmp_path):
    stopped_on_one_machine()
    run = the_run()
    (archive,) = given(run.info.run_id)
    damaged = tmp_path / Path(archive).name
    damaged.write_bytes(b"no archive")
    MlflowClient().log_artifact(run.info.run_id, str(damaged), carried.FOLDER)
    run_student(on("other"))
    assert "is damaged; it is passed over" in capsys.readouterr().out


def test_a_process_whose_run_another_has_taken_over_ends():
    def take_over() -> None:
        MlflowClient().set_tag(the_run().info.run_id, "kdflow.process", "elsewhere/1 7 7")

    with pytest.raises(KdflowError, match="is gone on with by another process, on elsewhere: this one ends"):
        interrupted(lambda: run_student(on("one")), after_epoch(2), strike=take_over)


def test_a_store_that_takes_no_archive_does_not_end_the_training(monkeypatch, capsys):
    def refuse(*_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(carried, "_packed", refuse)
    assert run_student(on("one")).run_id == the_run().info.run_id
    assert "Warning: the store was not given what another machine would go on with (no room)" in capsys.readouterr().out
