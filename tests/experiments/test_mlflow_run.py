"""`mlflow run` with the environment that is there: the whole study, single entry points, wrong parameters.

Not covered: conda and uv as environment managers; both build an environment of gigabytes from conda.yaml.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kdflow.config.option import flag

ROOT = Path(__file__).parents[2]
QUICK = {"dataset": "digits", "threads": "1", "precision": "fp32", "device": "cpu"}


@pytest.fixture(scope="module", autouse=True)
def own_store(tmp_path_factory):
    """A store and folders for this file alone; and `--env-manager local` runs the python that is first on the path."""
    folder = tmp_path_factory.mktemp("project-runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(QUICK, "runs_dir", str(folder / "runs"))
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def client(own_store):
    from mlflow import MlflowClient

    return MlflowClient()


def project_run(entry_point, *, project=ROOT, run_name=None, **parameters):
    """Runs an entry point; the id of its run and whether it succeeded."""
    import mlflow.projects

    done = mlflow.projects.run(
        str(project),
        entry_point,
        parameters=parameters,
        env_manager="local",
        synchronous=False,
        experiment_id="0",
        run_name=run_name,
    )
    return done.run_id, done.wait()


@pytest.fixture(scope="module")
def whole_study(own_store):
    """What `mlflow run .` printed."""
    given = QUICK | {"teacher_model": "small-cnn", "teacher_epochs": "2", "student_epochs": "1", "alphas": "1,0,0.50"}
    command = [sys.executable, "-m", "mlflow", "run", str(ROOT), "--env-manager", "local"]
    for name, value in given.items():
        command += ["-P", f"{name}={value}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done


def test_mlflow_run_makes_the_whole_study_in_the_run_that_mlflow_made(whole_study, client):
    (study,) = client.search_runs(["0"], "tags.`kdflow.role` = 'study'")
    children = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{study.info.run_id}'")
    assert study.data.tags["mlflow.source.type"] == "PROJECT"
    assert sorted(child.data.tags["kdflow.role"] for child in children) == [*["student"] * 3, "teacher"]
    assert {run.info.status for run in [study, *children]} == {"FINISHED"}
    assert study.data.params["alphas"] == "1,0,0.50"
    assert study.info.run_name == "study digits seed 0"


def test_the_study_ends_with_the_table_and_where_to_look_next(whole_study):
    assert "Accuracy on digits" in whole_study.stdout
    assert "The report, with figures:" in whole_study.stdout


def test_single_entry_points_take_parameters_as_mlflow_spells_them(whole_study, client):
    given = {**QUICK, "alpha": "0.0", "lr": "5e-2", "temperature": "4.00", "epochs": "1", "reuse": "false"}
    run_id, succeeded = project_run("student", run_name="mine", **given)
    assert succeeded
    run = client.get_run(run_id)
    assert run.info.run_name == "mine"
    assert (run.info.status, run.data.params["alpha"], run.data.params["lr"]) == ("FINISHED", "0.0", "5e-2")
    (study,) = client.search_runs(["0"], "tags.`kdflow.role` = 'study'")
    twin = next(
        child
        for child in client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{study.info.run_id}'")
        if child.data.params.get("alpha") == "0"
    )
    for name in ("final/train_accuracy", "final/val_accuracy", "final/test_accuracy"):
        assert run.data.metrics[name] == twin.data.metrics[name]


def test_compare_is_an_entry_point_of_its_own(whole_study, client):
    run_id, succeeded = project_run("compare", runs_dir=QUICK["runs_dir"])
    assert succeeded
    assert "comparison.md" in {item.path for item in client.list_artifacts(run_id)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": "1.5"},
        {"alpha": "$(touch x)"},
        {"temperature": "0"},
        {"foo": "1"},
        {"dataset": "./nowhere"},
        {"resume": "0" * 32},
    ],
)
def test_a_wrong_parameter_fails_the_run_and_leaves_none_running(client, wrong):
    run_id, succeeded = project_run("student", **(QUICK | wrong))
    assert not succeeded
    assert client.get_run(run_id).info.status == "FAILED"
    assert client.search_runs(["0"], "attributes.status = 'RUNNING'") == []
    assert not (ROOT / "x").exists()


@pytest.mark.slow
@pytest.mark.fault
def test_a_run_that_failed_goes_on_as_the_same_run_and_the_new_one_says_so(client, monkeypatch):
    from kdflow.experiments import training_runs
    from kdflow.experiments.commands import run_student
    from tests.experiments.conftest import student_config
    from tests.stories import require_equal

    settings = {**QUICK, "alpha": "1", "lr": "0.03", "epochs": "2"}
    whole = run_student(student_config(**settings)).run_id
    with monkeypatch.context() as patch:
        patch.setattr(training_runs.TrainingProgress, "epoch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError) as failed:
            run_student(student_config(**settings))
    (run_id,) = (word for word in failed.value.__notes__[0].split() if len(word) == 32)
    assert client.get_run(run_id).info.status == "FAILED"
    made, succeeded = project_run("student", resume=run_id, runs_dir=QUICK["runs_dir"])
    assert succeeded
    require_equal(client, run_id, whole)
    run = client.get_run(made)
    assert (run.info.status, run.info.run_name) == ("FINISHED", f"resume {run_id}")
    assert (run.data.tags["kdflow.role"], run.data.tags["kdflow.resumes"]) == ("resume", run_id)
    assert run.data.metrics == {}


@pytest.mark.slow
@pytest.mark.fault
def test_another_value_than_the_runs_is_refused_although_mlflow_gives_every_default(client, monkeypatch):
    from kdflow.experiments import training_runs
    from kdflow.experiments.commands import run_student
    from tests.experiments.conftest import student_config

    with monkeypatch.context() as patch:
        patch.setattr(training_runs.TrainingProgress, "epoch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError) as failed:
            run_student(student_config(**QUICK, alpha="1"))
    (run_id,) = (word for word in failed.value.__notes__[0].split() if len(word) == 32)
    made, succeeded = project_run("student", resume=run_id, runs_dir=QUICK["runs_dir"], lr="0.3")
    assert not succeeded
    assert {client.get_run(one).info.status for one in (made, run_id)} == {"FAILED"}


@pytest.mark.slow
def test_an_entry_point_of_two_commands_gives_each_a_run_of_its_own(client, tmp_path):
    given = " ".join(f"{flag(name)} {value}" for name, value in QUICK.items())
    student = f"python -m kdflow student --alpha 1 {given}"
    (tmp_path / "MLproject").write_text(
        f"entry_points:\n  both:\n    command: {student} --epochs 1 && {student} --epochs 2\n"
    )
    first, succeeded = project_run("both", project=tmp_path)
    assert succeeded
    (second,) = client.search_runs(["0"], f"tags.`mlflow.parentRunId` = '{first}'")
    for run, epochs in ((client.get_run(first), 1), (second, 2)):
        assert (run.info.status, run.data.params["epochs"]) == ("FINISHED", str(epochs))
        assert len(client.get_metric_history(run.info.run_id, "train/loss")) == epochs
        (version,) = client.search_model_versions(f"run_id = '{run.info.run_id}'")
        assert float(version.tags["test_accuracy"]) == run.data.metrics["final/test_accuracy"]
