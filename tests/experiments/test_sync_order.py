"""In which order `kdflow sync` tells what is kept: by what refers to what, not by names or clocks."""

import os
import shutil
from types import SimpleNamespace

import pytest

from kdflow.common.errors import TrackingError
from kdflow.config import SyncConfig
from kdflow.experiments.sync import run_sync
from kdflow.journal import journal as journals
from kdflow.journal.journal import Journal
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run

TAG = "kdflow.teacher_run_id"


@pytest.fixture(scope="module")
def store(own_store):
    return own_store


@pytest.fixture
def keep(store, tmp_path, monkeypatch):
    """`keep(kind, second, letter, names="")`: a command that was run offline, and the run that its own names."""

    def make(kind, second, letter, names=""):
        with monkeypatch.context() as patch:
            patch.setattr(journals, "time", SimpleNamespace(time=lambda: second))
            where = {"store": os.environ["MLFLOW_TRACKING_URI"]}
            journal = Journal.begin(tmp_path, kind, where, signature=letter * 64)
        with Run(Outbox(journal, offline=True), kind, kind, tags={TAG: names} if names else {}):
            pass
        return journal.key

    return make


def sync(folder):
    run_sync(SyncConfig(str(folder)))


def told(folder, key):
    """The tag of a run in the store that names another, and how it stands."""
    from mlflow import MlflowClient

    run = MlflowClient().get_run(Journal(folder / key).id)
    return run.data.tags.get(TAG), run.info.status


@pytest.mark.parametrize(
    ("teacher", "student"), [((5, "a"), (5, "b")), ((5, "b"), (5, "a")), ((9, "b"), (1, "a"))], ids=str
)
def test_a_teacher_is_told_before_its_student_whatever_their_names_and_clocks_say(keep, tmp_path, teacher, student):
    teacher = keep("teacher", *teacher)
    student = keep("student", *student, names=teacher)
    grandchild = keep("student", 0, "c", names=student)
    sync(tmp_path)
    assert told(tmp_path, student) == (Journal(tmp_path / teacher).id, "FINISHED")
    assert told(tmp_path, grandchild) == (Journal(tmp_path / student).id, "FINISHED")
    assert not any(journal.pending for journal in Journal.every(tmp_path))


@pytest.mark.fault
def test_runs_that_name_each_other_are_told_and_hold_nothing_up(keep, tmp_path, capsys, record_property):
    one, other = "student-aaaaaaaaaaaa-1", "student-bbbbbbbbbbbb-1"
    assert keep("student", 1, "a", names=other) == one
    assert keep("student", 2, "b", names=one) == other
    alone = keep("teacher", 3, "c")
    record_property("faults", 1)
    with pytest.raises(TrackingError, match="of 3 runs, 1 could not"):
        sync(tmp_path)
    assert f"it names {one}, which the store does not have yet" in capsys.readouterr().out
    assert told(tmp_path, alone) == (None, "FINISHED")
    assert told(tmp_path, other) == (one, "FINISHED")
    sync(tmp_path)
    assert told(tmp_path, one)[0] == Journal(tmp_path / other).id
    assert told(tmp_path, other)[0] == Journal(tmp_path / one).id


@pytest.mark.fault
def test_a_student_whose_teacher_is_in_use_is_told_all_but_its_name_until_that_can_be_told(
    keep, tmp_path, capsys, record_property
):
    teacher = keep("teacher", 1, "a")
    student = keep("student", 2, "b", names=teacher)
    record_property("faults", 1)
    with Journal(tmp_path / teacher).locked(), pytest.raises(TrackingError):
        sync(tmp_path)
    said = capsys.readouterr().out
    assert f"{teacher} is left out: run {teacher} is in use" in said.replace("\n", " ")
    assert f"it names {teacher}, which the store does not have yet" in said
    assert told(tmp_path, student) == (teacher, "FINISHED")
    sync(tmp_path)
    assert told(tmp_path, student) == (Journal(tmp_path / teacher).id, "FINISHED")


@pytest.mark.fault
def test_a_student_whose_teacher_is_kept_no_more_is_told_and_that_is_said(keep, tmp_path, capsys, record_property):
    teacher = keep("teacher", 1, "a")
    student = keep("student", 2, "b", names=teacher)
    shutil.rmtree(tmp_path / teacher)
    record_property("faults", 1)
    sync(tmp_path)
    assert f"it names {teacher}" in capsys.readouterr().out
    assert told(tmp_path, student) == (teacher, "FINISHED")
