"""What a stopped run does not go on with is refused in one line, and what it can live with is said.

How it goes on is `test_resume`'s.
"""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kdflow.common.errors import DataError, KdflowError, UsageError
from tests.experiments.conftest import student_config
from tests.interruptions import SMALL, after_epoch, interrupted, kept_run, telling
from tests.stories import require_equal, story

pytestmark = [pytest.mark.fault, pytest.mark.usefixtures("small_data")]


@pytest.fixture(scope="module")
def client(store):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture(scope="module")
def whole(store, data, tmp_path_factory):
    """A student that was never interrupted."""
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_student

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda config: data)
        return run_student(student_config(**SMALL, runs_dir=str(tmp_path_factory.mktemp("whole")))).run_id


@pytest.fixture(scope="module")
def template(store, data, tmp_path_factory):
    """A student that was killed after its first epoch."""
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_student

    folder = tmp_path_factory.mktemp("killed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "load", lambda config: data)
        interrupted(lambda: run_student(student_config(**SMALL, lr=0.02, runs_dir=str(folder))), after_epoch(1))
    return folder


@pytest.fixture
def killed(template, tmp_path):
    """A copy of it, with its id."""
    folder = tmp_path / "runs"
    shutil.copytree(template, folder)
    return folder, kept_run(folder)


def go_on(folder: Path, reference: str, **given):
    from kdflow.config import StudentConfig
    from kdflow.experiments.commands import run_student
    from kdflow.experiments.stopped_run import options_of_stopped_run

    options = {"runs_dir": str(folder), "resume": reference, **given}
    return run_student(options_of_stopped_run("student", StudentConfig(), options))


def refused(kind: type[KdflowError], folder: Path, reference: str, **given) -> str:
    before = sorted(folder.rglob("*")) if folder.exists() else []
    with pytest.raises(kind) as caught:
        go_on(folder, reference, **given)
    assert type(caught.value) is kind
    assert [path for path in sorted(folder.rglob("*")) if path.name not in ("lock", "owner")] == [
        path for path in before if path.name not in ("lock", "owner")
    ]
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        {"lr": "0.1"},
        {"seed": "1"},
        {"model": "alexnet"},
        {"epochs": "3"},
        {"alpha": "0.5"},
        {"knobs": "a=1"},
        {"temperature": "2"},
        {"batch_size": "32"},
        {"precision": "bf16"},
        {"flip": "false"},
        {"split_seed": "3"},
        {"lr": "0.3", "seed": "7", "schedule": "cosine"},
    ],
)
def test_other_options_than_those_of_the_run_are_refused_each_with_both_values(killed, given):
    from kdflow.config.option import flag

    (recorded,) = killed[0].glob("*/run.json")
    theirs = json.loads(recorded.read_text())["config"]
    message = refused(UsageError, *killed, **given)
    for name, value in given.items():
        assert f"{flag(name)} {value} (the run has {theirs[name] or 'none'})" in message
    assert message.count("(the run has") == len(given)


def test_the_default_is_refused_too_where_it_is_given_and_not_the_runs(killed, kdflow):
    folder, run_id = killed
    where = ("--resume", run_id, "--runs-dir", str(folder))
    code, error = kdflow("student", *where, "--lr", "0.05").line
    assert (code, error.count("\n")) == (2, 1)
    assert "--lr 0.05 (the run has 0.02)" in error


def test_on_the_command_line_a_run_goes_on_with_the_options_that_it_has(client, killed, kdflow):
    folder, run_id = killed
    where = ("--resume", run_id, "--runs-dir", str(folder))
    assert kdflow("student", *where, "--lr", "2e-2").line == (0, "")
    assert story(client, run_id)["status"] == "FINISHED"


def test_other_data_are_refused(killed, data, monkeypatch):
    from kdflow.experiments import session

    for other in ({"digest": "e" * 32}, {"split_digest": "e" * 32}):
        monkeypatch.setattr(session, "load", lambda config, other=other: replace(data, **other))
        message = refused(DataError, *killed)
        assert "eeeeeeee, the run has " in message
        assert message.endswith("give it the same images, or begin a new run")


def test_another_kind_of_run_is_refused_with_its_own_command(killed):
    from kdflow.config import TeacherConfig
    from kdflow.experiments.stopped_run import options_of_stopped_run

    folder, run_id = killed
    with pytest.raises(KdflowError, match="this is no teacher: kdflow student --resume"):
        options_of_stopped_run("teacher", TeacherConfig(), {"runs_dir": str(folder), "resume": run_id})


@pytest.mark.parametrize("reference", ["0" * 32, "../x", "/etc", "student-20260101-000000-0000"])
def test_an_unknown_run_is_refused(killed, tmp_path, reference):
    assert "keeps nothing of such a run" in refused(KdflowError, killed[0], reference)
    assert "keeps nothing of such a run" in refused(KdflowError, tmp_path / "nowhere", reference)
    assert not (tmp_path / "nowhere").exists()


def test_a_deleted_run_is_refused_with_how_to_restore_it(client, tmp_path):
    from kdflow.experiments.commands import run_student

    interrupted(lambda: run_student(student_config(**SMALL, runs_dir=str(tmp_path))), after_epoch(1))
    run_id = kept_run(tmp_path)
    client.delete_run(run_id)
    message = refused(KdflowError, tmp_path, run_id)
    assert message == f"run {run_id} is deleted; restore it with `mlflow runs restore --run-id {run_id}`"
    client.restore_run(run_id)
    assert go_on(tmp_path, run_id).run_id == run_id


def test_a_run_in_use_is_refused_before_data_are_read(killed, monkeypatch):
    import os

    from kdflow.experiments import session
    from kdflow.journal.journal import Journal

    monkeypatch.setattr(session, "load", lambda config: pytest.fail("work began"))
    folder, run_id = killed
    with Journal.find(folder, run_id).locked():
        assert f"run {run_id} is in use by process {os.getpid()} on " in refused(KdflowError, folder, run_id)


@pytest.mark.parametrize("name", ["run.json", "journal.jsonl"])
def test_a_damaged_record_of_a_run_is_one_line_that_names_it(killed, name):
    folder, run_id = killed
    (path,) = folder.glob(f"*/{name}")
    path.write_bytes(path.read_bytes()[:40] + b"\x00\xff\n" + path.read_bytes()[41:])
    message = refused(KdflowError, folder, run_id)
    assert f"{path} is damaged" in message
    assert message.endswith("begin a new run")


def test_threads_and_versions_may_differ_and_that_equality_is_lost_is_said(killed, capsys):
    folder, run_id = killed
    (path,) = folder.glob("*/run.json")
    started = json.loads(path.read_text())
    started["computing"] |= {"kdflow": "0.0.1", "torch": "2.0"}
    path.write_text(json.dumps(started))
    assert go_on(folder, run_id, threads="2").run_id == run_id
    said = capsys.readouterr().out
    assert "Note: going on with threads 2 (was 1); torch " in said
    assert "(was 0.0.1). The run will be sound, but it is not promised to equal one" in said


def test_left_to_itself_a_run_goes_on_with_the_threads_that_it_had(killed, capsys):
    folder, run_id = killed
    (path,) = folder.glob("*/run.json")
    started = json.loads(path.read_text())
    started["config"]["threads"], started["computing"]["threads"] = "0", "2"
    path.write_text(json.dumps(started))
    go_on(folder, run_id)
    said = capsys.readouterr().out
    assert "2 threads" in said
    assert "Note:" not in said


def test_from_a_damaged_checkpoint_the_one_before_is_taken_and_nothing_else_changes(client, whole, tmp_path, capsys):
    from kdflow.experiments.commands import run_student

    config = {**SMALL, "runs_dir": str(tmp_path)}
    interrupted(lambda: run_student(student_config(**config)), telling("metrics", ""), None)
    run_id = kept_run(tmp_path)
    interrupted(lambda: run_student(student_config(**config, resume=run_id)), after_epoch(2), None)
    (newest,) = tmp_path.glob("*/checkpoints/student-*/epoch-0002.pt")
    newest.write_bytes(newest.read_bytes()[:-100])
    run_id = kept_run(tmp_path)
    require_equal(client, run_student(student_config(**config, resume=run_id)).run_id, whole)
    assert "epoch-0002.pt is damaged or was exchanged: its SHA-256 is not the one" in capsys.readouterr().out


def test_half_a_line_at_the_end_of_a_journal_is_dropped(client, whole, tmp_path):
    from kdflow.experiments.commands import run_student

    config = {**SMALL, "runs_dir": str(tmp_path)}
    interrupted(lambda: run_student(student_config(**config)), after_epoch(1))
    (journal,) = tmp_path.glob("*/journal.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"kind": "metrics", "run": "stud')
    require_equal(client, run_student(student_config(**config, resume=kept_run(tmp_path))).run_id, whole)


@pytest.mark.parametrize(("lr", "kept"), [(1e6, False), (1e5, True)])
def test_a_loss_that_is_no_longer_finite_fails_the_run_keeps_the_last_epoch_and_advises_no_resume(
    client, tmp_path, lr, kept
):
    from kdflow.experiments.commands import run_student
    from kdflow.training import checkpoint

    with pytest.raises(KdflowError) as failed:
        run_student(student_config(**SMALL | {"epochs": 8, "lr": lr, "runs_dir": str(tmp_path)}))
    what = r"(label loss|val/loss) is (nan|inf) (at step \d of|after) epoch \d, at learning rate \S+"
    assert re.fullmatch(f"alpha=1: {what}; try a lower learning rate", str(failed.value))
    assert not hasattr(failed.value, "__notes__")
    assert client.get_run(kept_run(tmp_path)).info.status == "FAILED"
    (folder,) = tmp_path.glob("*/checkpoints/student-*")
    newest, notices = checkpoint.load(folder)
    assert (newest is not None, notices) == (kept, [])
