"""What is done is not done twice: the same command again finds what it did, and goes on with what was stopped."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from kdflow.common.errors import DivergedError, KdflowError
from kdflow.config import CohortConfig, StudyConfig, configure, texts
from kdflow.experiments import study_plan
from kdflow.experiments.commands import run_cohort, run_student, run_teacher
from kdflow.experiments.study import run_study
from kdflow.journal.journal import Journal
from kdflow.tracking.surroundings import claimed
from tests.experiments.conftest import STUDENT, student_config, study_config, teacher_config
from tests.interruptions import SMALL, after_epoch, interrupted

pytestmark = pytest.mark.usefixtures("small_data")
REUSING = {"reuse": True}
STUDY = {"reuse": True, "student_batch_size": 16, "teacher_batch_size": 16, "teacher_epochs": 2, "student_epochs": 2}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")


def stored(role: str) -> list:
    client = MlflowClient()
    ids = [one.experiment_id for one in client.search_experiments()]
    return client.search_runs(ids, f"tags.`kdflow.role` = '{role}'")


@pytest.mark.parametrize("offline", [False, True])
def test_a_student_that_is_finished_is_taken_as_it_is(offline, capsys):
    import torch

    config = student_config(**SMALL, **REUSING, offline=offline)
    first = run_student(config)
    capsys.readouterr()
    again = run_student(config)
    said = capsys.readouterr().out
    assert (again.run_id, again.scores, again.address) == (first.run_id, first.scores, first.address)
    assert all(torch.equal(one, again.model.state_dict()[name]) for name, one in first.model.state_dict().items())
    assert f"student alpha=1 seed=0: finished before, reused (run {first.run_id}, test accuracy" in said
    assert "epoch 1/" not in said
    assert len(list(Journal.every(Path("runs")))) == 1
    anew = run_student(replace(config, keeping=replace(config.keeping, reuse=False)))
    assert anew.run_id != first.run_id


def test_a_student_of_another_machine_is_found_in_the_store(tmp_path):
    first = run_student(student_config(**SMALL, **REUSING))
    assert run_student(student_config(**SMALL, **REUSING, runs_dir=str(tmp_path / "elsewhere"))).run_id == first.run_id


def test_what_is_deleted_or_did_not_end_well_is_trained_again():
    first = run_student(student_config(**SMALL, **REUSING))
    MlflowClient().delete_run(first.run_id)
    second = run_student(student_config(**SMALL, **REUSING))
    assert second.run_id != first.run_id
    MlflowClient().set_terminated(second.run_id, "FAILED")
    assert run_student(student_config(**SMALL, **REUSING)).run_id != second.run_id


def test_what_was_stopped_goes_on_in_its_own_run(capsys):
    interrupted(lambda: run_student(student_config(**SMALL, **REUSING)), after_epoch(1))
    (stopped,) = Journal.every(Path("runs"))
    capsys.readouterr()
    trained = run_student(student_config(**SMALL, **REUSING))
    said = capsys.readouterr().out
    assert f"Going on with {stopped.key}, which was stopped" in said
    assert "going on after epoch 1 of 2" in said
    assert trained.run_id == stopped.id
    assert len(stored("student")) == 1


def test_a_study_again_trains_nothing_and_compares(capsys):
    first = run_study(study_config(**STUDY))
    capsys.readouterr()
    again = run_study(study_config(**STUDY))
    said = capsys.readouterr().out
    assert "Plan: 4 runs, 4 finished before and reused; nothing to train (--reuse false trains anew)" in said
    assert "epoch 1/" not in said
    assert again.to_frame().equals(first.to_frame())
    assert (len(stored("teacher")), len(stored("student"))) == (1, 3)


def test_a_study_trains_only_what_another_has_not():
    run_study(study_config(**STUDY, alphas="1,0"))
    comparison = run_study(study_config(**STUDY, alphas="1,0.5,0"))
    assert [row.alpha for row in comparison.rows] == [None, 1.0, 0.5, 0.0]
    assert (len(stored("teacher")), len(stored("student"))) == (1, 3)


def test_a_study_compares_its_own_students_whatever_else_its_teacher_has_taught():
    whole = run_study(study_config(**STUDY, alphas="1,0.5,0"))
    part = run_study(study_config(**STUDY, alphas="1,0"))
    assert [row.alpha for row in part.rows] == [None, 1.0, 0.0]
    assert {row.run_id for row in part.rows} < {row.run_id for row in whole.rows}
    assert "Left out: 1 run of other studies." in part.footnotes


def test_a_study_that_was_stopped_goes_on_with_its_own_runs(capsys):
    interrupted(lambda: run_study(study_config(**STUDY)), after_epoch(1))
    capsys.readouterr()
    run_study(study_config(**STUDY))
    said = capsys.readouterr().out
    assert "Going on with study-" in said
    assert "student: going on after epoch 1 of 2" in said
    assert (len(stored("study")), len(stored("teacher")), len(stored("student"))) == (1, 1, 3)


def cohort_config(**values: object) -> CohortConfig:
    return configure(CohortConfig(), **{**STUDENT, "batch_size": 16, **REUSING, **values})


def test_a_cohort_trains_what_is_missing_of_it_in_a_run_of_its_own(capsys):
    teacher = run_teacher(teacher_config(batch_size=16))
    alone = run_student(student_config(batch_size=16, alpha=0, teacher=teacher.run_id, **REUSING))
    trained = run_cohort(cohort_config(teacher=f"signature:{teacher.signature}"))
    assert trained[1].run_id == alone.run_id
    (cohort,) = stored("cohort")
    others = {run.info.run_id: run.data.tags for run in stored("student") if run.info.run_id != alone.run_id}
    assert set(others) == {trained[0].run_id, trained[2].run_id}
    assert {tags["mlflow.parentRunId"] for tags in others.values()} == {cohort.info.run_id}
    capsys.readouterr()
    assert [one.run_id for one in run_cohort(cohort_config(teacher=teacher.run_id))] == [one.run_id for one in trained]
    assert "epoch 1/" not in capsys.readouterr().out


def test_a_cohort_that_there_is_not_is_refused():
    with pytest.raises(KdflowError, match="--cohort-number 4: there are fewer cohorts of 1"):
        run_cohort(cohort_config(alphas="1", cohort_size=1, cohort_number=4))


def test_what_diverged_is_not_trained_again_to_the_same_end():
    config = student_config(**SMALL, **REUSING, lr=1e6, clip_norm=0, schedule="constant")
    with pytest.raises(DivergedError):
        run_student(config)
    with pytest.raises(DivergedError, match=r"student-.*-1 ended by a loss that was no longer finite, as this would"):
        run_student(config)
    assert len(stored("student")) == 1


def test_two_attempts_at_a_job_exclude_each_other(monkeypatch, capsys):
    from kdflow.journal import lock

    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    config, seen = student_config(**SMALL, **REUSING), []

    def meanwhile() -> None:
        with pytest.raises(KdflowError, match="is in use by process"):
            run_student(config)
        seen.append("refused")

    interrupted(lambda: run_student(config), after_epoch(1), strike=meanwhile)
    assert seen == ["refused"]
    assert "is in use by process" in capsys.readouterr().out, "whoever waits is told for whom"


def test_a_job_of_a_study_says_so_and_anew_means_anew_within_the_study(monkeypatch):
    old = run_student(student_config(**SMALL, **REUSING))
    monkeypatch.setenv("KDFLOW_STUDY", "f" * 32)
    anew = student_config(**SMALL, reuse=False)
    new = run_student(anew)
    assert new.run_id != old.run_id
    assert run_student(anew).run_id == new.run_id, "a job that is tried again finds what it did"
    tags = MlflowClient().get_run(new.run_id).data.tags
    assert (tags["mlflow.parentRunId"], tags["kdflow.study_id"]) == ("f" * 32, "f" * 32)


def test_a_plan_that_is_only_shown_or_written_makes_no_run(tmp_path, capsys):
    config = study_config(**STUDY, seeds="0-1", dry_run=True, dataset="digits")
    assert run_study(config) is None
    said = capsys.readouterr().out
    assert "Plan: 8 runs, 4 jobs, " in said
    assert said.count("kdflow teacher --") == said.count("kdflow cohort --") == 2
    plan = tmp_path / "plan.txt"
    placing = replace(config.placing, dry_run=False, plan=str(plan))
    assert run_study(replace(config, placing=placing)) is None
    lines = [line for line in plan.read_text().splitlines() if line.startswith("kdflow ")]
    assert [line.split()[1] for line in lines] == ["teacher", "teacher", "cohort", "cohort"]
    assert not Path("runs").exists()
    assert stored("study") == []


def test_a_grid_that_mlflow_run_starts_takes_its_run_though_threads_are_settled_since(monkeypatch):
    """`mlflow run` has logged the options as they were given: threads 0, which for jobs means one each."""
    client = MlflowClient()
    given = texts(study_config(**STUDY, seeds="0-1", threads=0, dry_run=True, dataset="digits"))
    made = client.create_run("0", tags={"mlflow.project.entryPoint": "main"}).info.run_id
    for name, text in given.items():
        client.log_param(made, name, text)
    monkeypatch.setenv("MLFLOW_RUN_ID", made)
    sessions = []
    monkeypatch.setattr(study_plan.StudyPlan, "only_told", lambda plan, path: sessions.append(plan.session))
    assert run_study(configure(StudyConfig(), **given)) is None
    (session,) = sessions
    assert session.config.runtime.threads == 1
    assert claimed(session.around, "study-0-1").info.run_id == made
