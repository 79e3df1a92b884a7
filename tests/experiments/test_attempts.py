"""Runs are known by what is computed: none is taken for another, and a command finds its earlier attempts."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kdflow.common.errors import KdflowError
from kdflow.config import Recipe, StudentConfig
from kdflow.experiments.commands import plan_run, run_student
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.session import prepare
from kdflow.experiments.study import run_study
from kdflow.experiments.training_runs import train_cohort
from kdflow.journal.journal import Journal
from kdflow.teachers.frozen import Frozen
from kdflow.tracking.run import Run
from tests.experiments.conftest import student_config, study_config
from tests.interruptions import SMALL, after_epoch, interrupted

pytestmark = pytest.mark.usefixtures("small_data")
OFFLINE = {**SMALL, "offline": True}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def journals() -> list[Journal]:
    return list(Journal.every(Path("runs")))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"alpha": 1}, {"alpha": 1, "seed": 1}),
        (
            {"alpha": 0.5, "distiller": "rkd", "knobs": "angle=1"},
            {"alpha": 0.5, "distiller": "rkd", "knobs": "angle=2"},
        ),
        ({"distiller": "hard-targets"}, {"distiller": "rkd"}),
    ],
    ids=["seed", "knobs", "distiller"],
)
def test_students_of_one_study_that_share_alpha_and_temperature_are_two(one, other, tmp_path):
    """Cohorts of two seeds one after the other, or two methods side by side, in one journal."""
    configs = [student_config(**{**OFFLINE, "alpha": 0.5, **given}) for given in (one, other)]
    session = prepare("student", configs[0])
    teacher = Teacher("t" * 32, Frozen(torch.nn.Sequential(*tiny_teacher())), "t" * 64)
    with session.begun("f" * 64) as outbox, Run(outbox, "study", "study", signature="f" * 64) as whole:
        trained = []
        for config in configs:
            plan = plan_run(config, replace(session, config=config), teacher.signature)
            runtime = replace(session.runtime, seed=config.runtime.seed)
            recipe = Recipe(epochs=2, batch_size=16)
            trained += train_cohort([plan], session.data, recipe, runtime, outbox, teacher=teacher, parent=whole)
    (journal,) = journals()
    keys = [entry["run"] for entry in journal.entries if entry["kind"] == "create" and entry["run"] != journal.key]
    assert len(set(keys)) == 2
    for key in keys:
        assert sorted(journal.metrics(key)["train/loss"]) == [1, 2], "each has its own metrics"
    ours, theirs = (list(one.model.state_dict().values()) for one in trained)
    assert not all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True)), "each was trained"
    assert len(list(journal.checkpoints.glob("student-*"))) in (0, 2)


def tiny_teacher():
    return torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 4)


def test_the_same_command_again_is_a_new_attempt_beside_the_finished_one(capsys):
    run_student(student_config(**OFFLINE))
    run_student(student_config(**OFFLINE))
    first, second = journals()
    assert (first.key, second.key) == (f"student-{first.signature[:12]}-1", f"student-{first.signature[:12]}-2")
    assert first.signature == second.signature
    assert first.finished
    assert second.finished
    assert first.told_key(first.key) != second.told_key(second.key)
    assert "was stopped" not in capsys.readouterr().out


def test_another_command_is_no_attempt_at_it():
    run_student(student_config(**OFFLINE))
    run_student(student_config(**OFFLINE, seed=1))
    assert [journal.key.rpartition("-")[2] for journal in journals()] == ["1", "1"]


def test_the_same_command_after_a_stop_says_what_would_go_on_and_begins_anew(capsys):
    interrupted(lambda: run_student(student_config(**OFFLINE)), after_epoch(1))
    (stopped,) = journals()
    run_student(student_config(**OFFLINE))
    said = capsys.readouterr().out
    assert (
        f"An attempt at this was stopped; go on with it: kdflow student --resume {stopped.key} --offline true" in said
    )
    again = journals()[-1]
    assert (again.key, again.finished) == (f"student-{stopped.signature[:12]}-2", True)
    assert not journals()[0].finished
    run_student(student_config(**OFFLINE, resume=stopped.key))
    assert all(journal.finished for journal in journals())


def test_a_study_that_goes_on_with_other_arithmetic_goes_on_with_its_runs(monkeypatch, capsys):
    config = study_config(alphas=(1.0,), student_batch_size=16, teacher_epochs=2, precision="auto", offline=True)
    for has_bf16 in (False, True):
        monkeypatch.setattr("kdflow.device.runtime._has_bf16", lambda device, has=has_bf16: has)
        if not has_bf16:
            interrupted(lambda: run_study(config), after_epoch(2))
    (stopped,) = journals()
    run_study(replace(config, keeping=replace(config.keeping, resume=stopped.key)))
    (journal,) = journals()
    assert "going on with arithmetic bfloat16 (was float32)" in capsys.readouterr().out
    names = [entry["name"] for entry in journal.entries if entry["kind"] == "create"]
    assert len(names) == len(set(names)) == 3, "a study, a teacher, a student"
    assert journal.finished


def test_a_command_of_a_version_that_computes_otherwise_is_refused_in_one_line():
    interrupted(lambda: run_student(student_config(**OFFLINE)), after_epoch(1))
    (stopped,) = journals()
    stopped.started["identity"] = 0
    stopped.keep_started()
    with pytest.raises(
        KdflowError, match=r"^--resume \S+: it was begun by a version of kdflow that computes otherwise"
    ):
        run_student(student_config(**OFFLINE, resume=stopped.key))


def test_two_processes_that_begin_the_same_command_have_an_attempt_each(tmp_path):
    made = [Journal.begin(tmp_path, "student", {}, signature="a" * 64).key for _ in range(3)]
    assert made == [f"student-{'a' * 12}-{attempt}" for attempt in (1, 2, 3)]


def test_runs_keep_the_order_in_which_they_began_whatever_they_are_called(tmp_path, monkeypatch):
    began = [("b", 5.0), ("a", 9.0), ("c", 1.0)]
    for letter, second in began:
        monkeypatch.setattr("time.time", lambda second=second: second)
        Journal.begin(tmp_path, "student", {}, signature=letter * 64)
    assert [journal.key[8] for journal in Journal.every(tmp_path)] == ["c", "b", "a"]


def of_version_0_1(runs_dir: Path) -> str:
    """A folder as version 0.1 left it: a student that ended, of which no store was told."""
    key = "student-20261122-214500-3fa2b1c0"
    folder = runs_dir / key
    (folder / "artifacts").mkdir(parents=True)
    config = {"alpha": "1", "dataset": "digits"}
    started = {
        "schema": 1,
        "kind": "student",
        "store": "",
        "config": config,
        "teacher": "",
        "data": {},
        "computing": {},
    }
    (folder / "run.json").write_text(json.dumps(started))
    common = {"run": key, "time": 1_764_000_000_000}
    tags = {"kdflow.role": "student", "kdflow.data": "digits"}
    entries = [
        {"kind": "create", "name": "student alpha=1", "tags": tags, "made": {}, "experiment": {"name": "kdflow"}},
        {"kind": "metrics", "metrics": {"train/loss": 0.5}, "step": 1},
        {"kind": "status", "status": "FINISHED"},
    ]
    (folder / "journal.jsonl").write_text("".join(json.dumps({**common, **entry}) + "\n" for entry in entries))
    return key


def test_what_version_0_1_kept_is_told_to_the_store_and_refused_to_be_gone_on_with_in_one_line(
    tmp_path, monkeypatch, capsys
):
    from mlflow import MlflowClient

    from kdflow.config import DoctorConfig, SyncConfig
    from kdflow.experiments.doctor import run_doctor
    from kdflow.experiments.sync import run_sync

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    key = of_version_0_1(Path("runs"))
    run_sync(SyncConfig("runs"))
    run = MlflowClient().get_run(Journal(Path("runs") / key).id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"train/loss": 0.5})
    run_doctor(DoctorConfig("runs"))
    assert "can go on" not in capsys.readouterr().out
    with pytest.raises(KdflowError) as refused:
        prepare("student", StudentConfig(keeping=replace(StudentConfig().keeping, resume=key)))
    assert str(refused.value) == (
        f"--resume {key}: it was begun by kdflow 0.1: go on with that version, or begin a new run"
    )
