"""What `kdflow sync` tells and `kdflow doctor` closes. A sync with a real server is in tests/faults/test_outages.py."""

import os
import socket
import subprocess
import sys

import pytest

from kdflow.common import process
from kdflow.common.errors import KdflowError, TeacherError, TrackingError
from kdflow.config import CompareConfig, DoctorConfig, SyncConfig
from kdflow.experiments.doctor import run_doctor
from kdflow.experiments.sync import run_sync
from kdflow.journal.journal import Journal
from kdflow.tracking.journal_runs import JournalRuns
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run
from tests.experiments.conftest import student_config, study_config, teacher_config
from tests.journals import key_of


def stored(run_id):
    from mlflow import MlflowClient

    return MlflowClient().get_run(run_id)


def newest(runs_dir, kind):
    *_, journal = [one for one in Journal.every(runs_dir) if one.started["kind"] == kind]
    return journal


@pytest.fixture(scope="module")
def store(own_store):
    return own_store


@pytest.fixture(scope="module")
def offline(store, tmp_path_factory):
    """A folder in which a teacher, students, a study and a comparison were run offline, then told to the store."""
    from kdflow.experiments.commands import run_compare, run_student, run_teacher
    from kdflow.experiments.study import run_study

    folder = tmp_path_factory.mktemp("offline")
    here = {"runs_dir": str(folder), "offline": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        teacher = run_teacher(teacher_config(**here, epochs=1))
        run_student(student_config(**here, epochs=1, alpha=0))
        run_student(student_config(**here, epochs=1, alpha=0.5, teacher=teacher.run_id))
        study = run_study(study_config(**here, teacher_epochs=1, student_epochs=1, alphas="1,0"))
        comparison = run_compare(CompareConfig(teacher=teacher.run_id, keeping=teacher_config(**here).keeping))
        assert all(not journal.ids for journal in Journal.every(folder))
    run_sync(SyncConfig(str(folder)))
    return folder, teacher, study, comparison


def test_offline_a_student_finds_the_kept_teacher_by_itself_and_by_its_key(offline):
    _, teacher, _, comparison = offline
    assert comparison.rows[0].run_id == teacher.run_id
    assert [row.alpha for row in comparison.rows] == [None, 1.0, 0.5, 0.0], "the study's labels-only student fits too"


def test_what_was_done_offline_is_complete_in_the_store_after_sync(offline):
    from mlflow import MlflowClient

    folder, *_ = offline
    for journal in Journal.every(folder):
        assert journal.pending == 0
        for key, run_id in journal.ids.items():
            assert stored(run_id).info.status == "FINISHED"
            for name, steps in journal.metrics(key).items():
                told = {one.step: one.value for one in MlflowClient().get_metric_history(run_id, name)}
                assert told == steps
            registered = MlflowClient().search_model_versions(f"run_id = '{run_id}'")
            assert len(registered) == len(journal.of(key, "register"))


def test_after_sync_students_and_studies_name_each_other_by_the_ids_of_the_store(offline):
    folder, *_ = offline
    teacher, student, study = (newest(folder, kind) for kind in ("teacher", "student", "study"))
    assert stored(student.id).data.tags["kdflow.teacher_run_id"] == teacher.id
    its_teacher = study.id_of(key_of(study, "teacher"))
    assert stored(its_teacher).data.tags["mlflow.parentRunId"] == study.id
    taught = stored(study.id_of(key_of(study, "student alpha=0 T=4"))).data.tags
    assert taught["kdflow.teacher_run_id"] == its_teacher


def test_after_sync_the_store_gives_the_comparison_that_was_made_offline(offline):
    from kdflow.analysis import selection
    from kdflow.tracking.store_runs import StoreRuns

    folder, _, made_offline, _ = offline
    study = newest(folder, "study")
    again = selection.find(CompareConfig(teacher=study.id_of(key_of(study, "teacher"))), StoreRuns())
    figures = [(row.alpha, row.train_accuracy, row.val_accuracy, row.test_accuracy, row.gap) for row in again.rows]
    assert figures == [
        (row.alpha, row.train_accuracy, row.val_accuracy, row.test_accuracy, row.gap) for row in made_offline.rows
    ]


@pytest.mark.parametrize(
    "text",
    [
        "{key}",
        "{run}",
        "{begin}",
        "runs:/{run}/model",
        "models:/kdflow-student-digits",
        "models:/kdflow-student-digits@champion",
        "models:/kdflow-student-digits/latest",
        "models:/kdflow-student-digits/1",
    ],
)
def test_a_teacher_is_called_the_same_with_the_store_and_without(offline, text):
    from kdflow.tracking.store_runs import StoreRuns

    folder, teacher, *_ = offline
    journal = next(one for one in Journal.every(folder) if one.key == teacher.run_id)
    text = text.format(key=journal.key, run=journal.id, begin=journal.id[:8])
    kept = JournalRuns(folder).resolve_run(text)
    assert kept == StoreRuns().resolve_run(Journal.id_for(folder, text))
    assert JournalRuns(folder).address(kept) == StoreRuns().address(kept)
    assert JournalRuns(folder).record(kept).metrics == StoreRuns().record(kept).metrics


def test_before_and_after_sync_the_same_run_is_champion_and_students_name_their_teacher(offline):
    folder, teacher, *_ = offline
    _, student, *_ = (one for one in Journal.every(folder) if one.started["kind"] == "student")
    teaching = next(one for one in Journal.every(folder) if one.key == teacher.run_id)
    assert stored(student.id).data.params["teacher_run_id"] == teaching.id
    assert JournalRuns(folder).record(student.id).params["teacher_run_id"] == teaching.id


def test_a_second_sync_tells_nothing(offline, capsys):
    folder, *_ = offline
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    run_sync(SyncConfig(str(folder)))
    assert capsys.readouterr().out.startswith("The store has everything")
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_offline_a_teacher_that_is_not_kept_here_is_one_line(tmp_path):
    with pytest.raises(TeacherError, match="keeps no such run"):
        JournalRuns(tmp_path).resolve_run("models:/kdflow-teacher-digits@champion")


def begun(folder, *, offline=True, store=None):
    journal = Journal.begin(folder, "teacher", {"store": store or os.environ["MLFLOW_TRACKING_URI"]})
    told = Outbox(journal, offline=offline)
    return told, Run(told, "teacher", "teacher")


@pytest.mark.fault
def test_a_run_that_was_killed_offline_is_killed_in_the_store_after_sync(store, tmp_path, record_property):
    _, run = begun(tmp_path)
    run.metrics({"train/loss": 1.0}, step=1)
    record_property("faults", 1)
    run_sync(SyncConfig(str(tmp_path)))
    (journal,) = Journal.every(tmp_path)
    assert stored(journal.id).info.status == "KILLED"
    assert stored(journal.id).data.metrics == {"train/loss": 1.0}


def test_a_run_in_use_is_left_to_its_process(store, tmp_path, capsys):
    told, _ = begun(tmp_path)
    with told.journal.locked():
        run_sync(SyncConfig(str(tmp_path)))
        assert "is left out" in capsys.readouterr().out
        run_doctor(DoctorConfig(str(tmp_path)))
        assert told.journal.key not in capsys.readouterr().out
    assert Journal(told.journal.folder).ids == {}


def test_what_was_begun_in_another_store_is_not_told_to_this_one_and_holds_nothing_else_up(
    store, tmp_path, capsys, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'else.db'}")
        elsewhere, _ = begun(tmp_path, offline=False, store=os.environ["MLFLOW_TRACKING_URI"])
        elsewhere.offline = True
        elsewhere.write("status", elsewhere.journal.key, status="FINISHED")
    _, other = begun(tmp_path)
    other.close("FINISHED")
    with pytest.raises(TrackingError, match="1 could not be told"):
        run_sync(SyncConfig(str(tmp_path)))
    said = capsys.readouterr().out
    assert f"begun in sqlite:///{tmp_path / 'else.db'}, this is {os.environ['MLFLOW_TRACKING_URI']}: set MLFLOW" in said
    assert [journal.pending for journal in Journal.every(tmp_path)].count(0) == 1


def test_a_store_is_known_by_what_it_holds_whatever_its_address(store, tmp_path, monkeypatch):
    told, _ = begun(tmp_path, offline=False)
    told.offline = True
    told.write("status", told.journal.key, status="FINISHED")
    (tmp_path / "link.db").symlink_to(store / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'link.db'}")
    run_sync(SyncConfig(str(tmp_path)))
    assert stored(told.journal.id).info.status == "FINISHED"
    assert Journal(told.journal.folder).started["store"] == f"sqlite:///{tmp_path / 'link.db'}"


def test_a_store_that_was_made_anew_at_the_same_address_is_another_one(store, tmp_path, capsys):
    told, _ = begun(tmp_path, offline=False)
    told.offline = True
    told.write("status", told.journal.key, status="FINISHED")
    told.journal.ids[told.journal.key] = "e" * 32
    told.journal.delivered -= 1
    told.journal.mark_delivered()
    with pytest.raises(TrackingError):
        run_sync(SyncConfig(str(tmp_path)))
    assert "is not what it was begun in: its runs are gone from there" in capsys.readouterr().out


def test_what_was_done_offline_belongs_to_the_store_that_is_told_first(store, tmp_path):
    _, run = begun(tmp_path, store="http://127.0.0.1:9")
    run.close("FINISHED")
    run_sync(SyncConfig(str(tmp_path)))
    (journal,) = Journal.every(tmp_path)
    assert journal.started["store"] == os.environ["MLFLOW_TRACKING_URI"]


@pytest.mark.fault
def test_a_run_that_was_deleted_meanwhile_holds_no_other_up(store, tmp_path, monkeypatch, record_property):
    from mlflow import MlflowClient

    from kdflow.tracking import outbox

    monkeypatch.setattr(outbox, "END_PATIENCE", 0.1)
    gone, run = begun(tmp_path, offline=False)
    gone.offline = True
    run.close("FINISHED")
    MlflowClient().delete_run(gone.journal.id)
    _, other = begun(tmp_path)
    other.close("FINISHED")
    record_property("faults", 1)
    with pytest.raises(TrackingError, match="of 2 runs, 1 could not be told"):
        run_sync(SyncConfig(str(tmp_path)))
    assert sorted(journal.pending for journal in Journal.every(tmp_path)) == [0, 1]


def test_sync_removes_the_checkpoints_of_what_is_finished(store, tmp_path):
    told, run = begun(tmp_path)
    (told.journal.checkpoints / "teacher").mkdir(parents=True)
    run.close("FINISHED")
    run_sync(SyncConfig(str(tmp_path)))
    assert not told.journal.checkpoints.exists()


def test_sync_without_a_store_is_an_error(tmp_path, monkeypatch, store):
    _, run = begun(tmp_path)
    run.close("FINISHED")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(KdflowError, match="start it"):
        run_sync(SyncConfig(str(tmp_path)))


def dead():
    """The identity of a real process that was killed."""
    sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    host, _, _ = process.identity().split()
    identity = f"{host} {sleeper.pid} {process._beginning(sleeper.pid)}"
    sleeper.kill()
    sleeper.wait()
    return identity


def reused():
    """The identity of a process that is dead, whose number another process has by now."""
    host, pid, beginning = process.identity().split()
    return f"{host} {pid} {int(beginning) - 1}"


@pytest.mark.fault
@pytest.mark.parametrize(
    ("tags", "status", "said"),
    [
        ({"kdflow.role": "teacher", "kdflow.process": dead}, "KILLED", "its process is dead"),
        ({"kdflow.role": "student", "kdflow.process": reused}, "KILLED", "its process is dead"),
        ({"kdflow.role": "student", "kdflow.process": process.identity}, "RUNNING", "still running"),
        ({"kdflow.role": "study", "kdflow.process": "elsewhere 12 34"}, "RUNNING", "runs on elsewhere"),
        ({"kdflow.role": "study", "kdflow.process": "no process at all"}, "RUNNING", "made by `mlflow run`"),
        ({"mlflow.project.entryPoint": "student"}, "RUNNING", "made by `mlflow run`"),
        ({}, "RUNNING", ""),
        ({"mlflow.project.entryPoint": "of_a_colleague"}, "RUNNING", ""),
    ],
)
def test_the_doctor_closes_runs_of_dead_processes_and_no_others(
    store, tmp_path, capsys, record_property, tags, status, said
):
    from mlflow import MlflowClient

    from kdflow.tracking.experiments import experiment_id

    known = {name: value() if callable(value) else value for name, value in tags.items()}
    run_id = MlflowClient().create_run(experiment_id(), tags=known, run_name="patient").info.run_id
    record_property("faults", 1)
    run_doctor(DoctorConfig(str(tmp_path)))
    lines = [line for line in capsys.readouterr().out.splitlines() if run_id in line]
    assert stored(run_id).info.status == status
    assert len(lines) == bool(said)
    assert not lines or said in lines[0]
    MlflowClient().set_terminated(run_id)


def test_the_doctor_says_what_can_go_on_and_what_waits(store, tmp_path, capsys):
    told, run = begun(tmp_path)
    run.close("KILLED")
    run_doctor(DoctorConfig(str(tmp_path)))
    said = capsys.readouterr().out
    assert f"{told.journal.key}: 2 entries wait for the store; run `kdflow sync --runs-dir {tmp_path}`" in said
    assert f"kdflow teacher --resume {told.journal.key}" in said
    assert socket.gethostname() not in said
