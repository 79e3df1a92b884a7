"""A project folder that was moved: its store is the same store, and `kdflow doctor --relocate` finds its artifacts.

Not covered: a folder that was copied while the first one stays; MLflow's artifacts then are where they were.
"""

import os
import shutil
import sqlite3
from collections import OrderedDict
from contextlib import closing

import pytest

from kdflow.common.errors import TeacherError, TrackingError
from kdflow.config import CompareConfig, DoctorConfig, SyncConfig
from kdflow.experiments.doctor import run_doctor
from kdflow.experiments.sync import run_sync
from kdflow.journal.journal import Journal
from tests.experiments.conftest import student_config, teacher_config
from tests.interruptions import after_epoch, interrupted, kept_run

SMALL = {"batch_size": 16, "epochs": 1}


@pytest.fixture(scope="module")
def first(tmp_path_factory, data):
    """A project of which a teacher was run, and a student that was killed; its folder and their run ids."""
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_student, run_teacher

    folder = tmp_path_factory.mktemp("first") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda config: data)
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        teacher = run_teacher(teacher_config(**SMALL)).run_id
        shutil.move("runs", "runs-of-the-teacher")
        config = student_config(**SMALL | {"epochs": 2}, alpha=0, teacher=teacher)
        interrupted(lambda: run_student(config), after_epoch(1))
        return folder, teacher, kept_run(folder / "runs")


@pytest.fixture
def moved(first, tmp_path, monkeypatch, small_data):
    """The same elsewhere, with nothing where it was."""
    from mlflow.tracking._tracking_service import utils

    folder, away, here = first[0], first[0].parent / "away", tmp_path / "elsewhere" / "project of mine"
    shutil.copytree(folder, here)
    folder.rename(away)
    monkeypatch.chdir(here)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{here / 'mlflow.db'}")
    monkeypatch.setattr(utils, "_artifact_repos_cache", OrderedDict())  # a process keeps the places that it has used
    yield here
    assert not folder.exists(), "something was written where the project was"
    away.rename(folder)


def dump(file):
    with closing(sqlite3.connect(file)) as store:
        return list(store.iterdump())


def test_before_it_is_mended_every_command_that_needs_artifacts_says_how(first, moved):
    from kdflow.experiments.commands import run_compare, run_student

    before = dump(moved / "mlflow.db")
    (journal,) = Journal.every(moved / "runs")
    journal.append("tags", journal.key, tags={"more": "to tell"})
    config = student_config(**SMALL)
    for command in (
        lambda: run_student(config),
        lambda: run_student(student_config(**SMALL | {"epochs": 2}, alpha=0, teacher=first[1], resume=first[2])),
        lambda: run_compare(CompareConfig()),
        lambda: run_sync(SyncConfig()),
    ):
        with pytest.raises(TrackingError, match=r"was moved.*mend it with `kdflow doctor --relocate`$") as refused:
            command()
        assert f"{moved}/mlruns/1, not in {first[0]}/mlruns/1" in str(refused.value)
    assert dump(moved / "mlflow.db") == before


def test_a_teacher_whose_artifacts_are_gone_is_told_from_one_that_never_had_any(first, moved):
    from kdflow.tracking.store_runs import StoreRuns

    with pytest.raises(TeacherError, match=r"its artifacts should be in .*which is not there: bring that folder back"):
        StoreRuns().weights_of(first[1]).__enter__()


def test_relocated_once_the_store_has_everything_and_the_stopped_student_goes_on(first, moved, capsys):
    import mlflow
    import numpy as np
    from mlflow import MlflowClient

    from kdflow.experiments.commands import run_student
    from kdflow.tracking.model_registry import model_name

    old, teacher, stopped = first
    before = dump(moved / "mlflow.db")
    run_doctor(DoctorConfig())
    assert f"such as {old}/mlruns/" in capsys.readouterr().out
    assert dump(moved / "mlflow.db") == before
    run_doctor(DoctorConfig(relocate=True))
    said = capsys.readouterr().out
    assert f"addresses say {moved} now, not {old}." in said
    (backup,) = moved.glob("mlflow.db.*.backup")
    assert f"The database as it was: {backup}" in said
    assert dump(backup) == before
    assert not [line for line in dump(moved / "mlflow.db") if f"{old}/" in line]

    client = MlflowClient()
    assert {item.path for item in client.list_artifacts(teacher)} >= {"weights", "loss_curves.png"}
    (name,) = {one.name for one in client.search_model_versions(f"run_id = '{teacher}'")}
    for address in (f"models:/{name}@champion", f"runs:/{teacher}/{model_name(client.get_run(teacher).info.run_name)}"):
        model = mlflow.pyfunc.load_model(address, model_config={"device": "cpu"})
        assert model.predict(np.zeros((1, 32, 32, 3), np.uint8)).shape == (1, 4)
    assert [run.info.run_id for run in client.search_runs(["1"], f"attributes.run_id = '{teacher}'")] == [teacher]

    config = student_config(**SMALL | {"epochs": 2}, alpha=0, teacher=teacher, resume=stopped)
    assert run_student(config).run_id == stopped
    (journal,) = Journal.every(moved / "runs")
    assert journal.started["store"] == os.environ["MLFLOW_TRACKING_URI"]
    after = dump(moved / "mlflow.db")
    run_doctor(DoctorConfig(relocate=True))
    assert "Nothing to relocate" in capsys.readouterr().out
    assert dump(moved / "mlflow.db") == after
    assert len(list(moved.glob("*.backup"))) == 1


def test_a_copy_of_a_project_gets_artifacts_of_its_own(first, tmp_path, monkeypatch):
    """It would otherwise read those of the original, and write beside them."""
    from kdflow.tracking.checks import require_artifacts_in_place
    from kdflow.tracking.relocation import relocate

    old, copy = first[0], tmp_path / "copy"
    shutil.copytree(old, copy)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{copy / 'mlflow.db'}")
    with pytest.raises(TrackingError, match=r"was moved or copied.*kdflow doctor --relocate"):
        require_artifacts_in_place()
    assert relocate(copy / "mlflow.db").new == copy
    assert not [line for line in dump(copy / "mlflow.db") if f"{old}/" in line]
    require_artifacts_in_place()
    assert relocate(copy / "mlflow.db") is None


def test_one_project_under_two_names_is_no_copy(first, tmp_path, monkeypatch):
    from kdflow.tracking.relocation import moved

    (tmp_path / "link").symlink_to(first[0])
    assert moved(tmp_path / "link" / "mlflow.db") == {}
    assert moved(first[0] / "mlflow.db") == {}


def test_a_server_is_left_to_those_who_run_it(monkeypatch, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(TrackingError, match=r"--relocate: http://127\.0\.0\.1:9 is no sqlite file: .*who run it"):
        run_doctor(DoctorConfig(str(tmp_path), relocate=True))
