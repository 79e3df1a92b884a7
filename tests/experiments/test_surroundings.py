"""Runs that the environment names, or that Python has open: taken by one command, nested in by others, never mixed.

`mlflow run` itself is in test_mlflow_run.py.
"""

import threading

import pytest

from kdflow.common.errors import TrackingError
from kdflow.config import CompareConfig, SyncConfig, texts
from kdflow.experiments.sync import run_sync
from kdflow.journal.journal import Journal
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run
from kdflow.tracking.surroundings import Surroundings
from tests.experiments.conftest import student_config, study_config

GIVEN = texts(student_config(alpha=0.5, knobs="", dataset="digits"))
PROJECT = {"mlflow.source.type": "PROJECT", "mlflow.project.entryPoint": "student"}


@pytest.fixture(scope="module")
def store(own_store):
    return own_store


@pytest.fixture
def client(store):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture
def made(client, monkeypatch):
    """`made(tags={}, params={}, ...)`: a run in an experiment of no name that matters, named by MLFLOW_RUN_ID."""

    def make(*, tags=None, params=None, name=None, status=None, experiment="0"):
        run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        for param, value in (params or {}).items():
            client.log_param(run_id, param, value)
        if status:
            client.set_terminated(run_id, status)
        monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
        return run_id

    return make


def begin(folder, *, given=GIVEN, offline=False, nested=False):
    """What a command does about its own run, without training; gives the run's id."""
    outbox = Outbox(
        Journal.begin(folder, "student", {}), offline=offline, around=Surroundings.found(given, nested=nested)
    )
    with Run(outbox, "student", "student alpha=0.5") as run:
        run.params(given)
        run.metrics({"train/loss": 1.0}, step=1)
    outbox.require_told()
    return run.id


def logged(*names, **others):
    """Params as `mlflow run` logs them: what the user typed, quoted for a shell."""
    return {**{name: GIVEN[name] or "''" for name in names}, **others}


@pytest.mark.parametrize(
    ("tags", "params"),
    [
        ({}, {}),
        (PROJECT, {}),
        (PROJECT, logged("alpha", "knobs", "dataset", "lr")),
        (PROJECT, logged("distiller", alpha="0.50", lr="5e-2", resize="no", dataset="'digits'")),
    ],
)
def test_a_run_that_holds_nothing_but_what_mlflow_run_logs_becomes_the_commands_own(
    client, tmp_path, made, tags, params
):
    run_id = made(tags=tags, params=params)
    assert begin(tmp_path) == run_id
    run = client.get_run(run_id)
    assert (run.info.status, run.data.tags["kdflow.role"]) == ("FINISHED", "student")
    assert {**GIVEN, **params}.items() <= run.data.params.items()
    assert "mlflow.parentRunId" not in run.data.tags


@pytest.mark.parametrize(
    ("holds", "said"),
    [
        ({"tags": {"kdflow.role": "teacher"}}, "it is the run of another command (a teacher)"),
        ({"status": "FINISHED"}, "it has ended (FINISHED)"),
        ({"status": "KILLED"}, "it has ended (KILLED)"),
        ({"tags": PROJECT, "params": {"alpha": "0"}}, "params that are not this command's (alpha)"),
        ({"tags": PROJECT, "params": {"rounds": "3", **logged("alpha")}}, "not this command's (rounds)"),
        ({"params": {"alpha": "0.5"}}, "params that are not this command's (alpha)"),
    ],
)
def test_a_run_that_holds_more_stays_as_it_is_and_the_command_is_nested_in_it_and_says_so(
    client, tmp_path, made, capsys, holds, said
):
    run_id = made(**holds)
    before = client.get_run(run_id).to_dictionary()
    nested = begin(tmp_path)
    assert client.get_run(run_id).to_dictionary() == before
    own = client.get_run(nested)
    assert (own.data.tags["mlflow.parentRunId"], own.info.experiment_id) == (run_id, "0")
    assert (own.info.status, own.data.params["alpha"]) == ("FINISHED", "0.5")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "MLFLOW_RUN_ID" in line)
    assert line.startswith(f"Run {run_id} of MLFLOW_RUN_ID: ")
    assert said in line
    assert line.endswith("This command gets a run of its own, nested in that one.")


def test_of_two_commands_one_after_the_other_the_second_has_a_run_of_its_own(client, tmp_path, made, monkeypatch):
    run_id = made()
    first = begin(tmp_path, given=GIVEN | {"alpha": "1"})
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)  # a process of its own would find it again
    second = begin(tmp_path, given=GIVEN | {"alpha": "0"})
    assert first == run_id
    assert second != run_id
    assert [client.get_run(one).data.params["alpha"] for one in (first, second)] == ["1", "0"]
    assert client.get_run(second).data.tags["mlflow.parentRunId"] == first


def test_of_commands_at_the_same_moment_one_has_the_run(client, tmp_path, made):
    run_id = made(tags=PROJECT, params=logged("alpha"))
    around, runs, ready = Surroundings.found(GIVEN), [], threading.Barrier(4)

    def command():
        outbox = Outbox(Journal.begin(tmp_path, "student", {}), offline=True, around=around)
        with Run(outbox, "student", "student"):
            pass
        outbox.offline = False
        ready.wait()
        outbox.require_told()
        runs.append(outbox.journal.id)

    threads = [threading.Thread(target=command) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(runs)) == 4
    assert run_id in runs
    parents = [client.get_run(one).data.tags.get("mlflow.parentRunId") for one in runs if one != run_id]
    assert parents == [run_id] * 3


def test_told_twice_a_command_keeps_the_run_that_it_took(client, tmp_path, made):
    run_id = made(tags=PROJECT, params=logged("alpha"))
    begin(tmp_path)
    (journal,) = Journal.every(tmp_path)
    (journal.folder / "delivered.json").unlink()
    before = client.get_run(run_id).to_dictionary()
    again = Outbox(Journal(journal.folder))
    again.require_told()
    assert again.journal.id == run_id
    assert client.get_run(run_id).to_dictionary() == before


@pytest.mark.parametrize("free", [True, False])
def test_offline_the_run_is_looked_at_when_the_store_is_told(client, tmp_path, made, free):
    run_id = made(tags=PROJECT, params=logged("alpha") if free else {"alpha": "0.1"})
    begin(tmp_path, offline=True)
    run_sync(SyncConfig(str(tmp_path)))
    (journal,) = Journal.every(tmp_path)
    assert (journal.id == run_id) == free
    assert client.get_run(journal.id).data.params["alpha"] == "0.5"


def test_offline_a_run_that_is_not_there_when_the_store_is_told_holds_nothing_up(client, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MLFLOW_RUN_ID", "e" * 32)
    begin(tmp_path, offline=True)
    run_sync(SyncConfig(str(tmp_path)))
    (journal,) = Journal.every(tmp_path)
    assert journal.pending == 0
    assert "mlflow.parentRunId" not in client.get_run(journal.id).data.tags
    assert "there is no such run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("variable", "named"), [("MLFLOW_RUN_ID", "MLFLOW_RUN_ID="), ("MLFLOW_PARENT_RUN_ID", "nested in run ")]
)
@pytest.mark.parametrize("state", ["unknown", "deleted", "elsewhere", "no id"])
def test_a_run_that_cannot_be_used_is_refused_before_anything_is_read(
    client, tmp_path, monkeypatch, variable, named, state
):
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_compare, run_student

    monkeypatch.setattr(session, "load", lambda config: pytest.fail("work began"))
    run_id = client.create_run("0").info.run_id
    if state == "deleted":
        client.delete_run(run_id)
    if state == "elsewhere":
        monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "another")
    run_id = {"unknown": "e" * 32, "no id": "../x"}.get(state, run_id)
    monkeypatch.setenv(variable, run_id)
    said = {
        "deleted": f"the run is deleted: restore it with `mlflow runs restore --run-id {run_id}`",
        "elsewhere": "the run is in experiment 'Default', not in that of MLFLOW_EXPERIMENT_NAME=another: unset one",
    }.get(state, "there is no such run in sqlite:")
    runs_dir = str(tmp_path / "runs")
    config = student_config(alpha=1, runs_dir=runs_dir)
    for command, options in ((run_student, config), (run_compare, CompareConfig(keeping=config.keeping))):
        with pytest.raises(TrackingError) as refused:
            command(options)
        message = str(refused.value)
        assert message.startswith(f"{named}{run_id}: {said}")
        assert message.endswith(f"or unset {variable}")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("theirs", "variable", "shown"),
    [
        (None, None, "student alpha=0.5"),
        ("mine", None, "mine"),
        (None, "yours", "yours"),
        ("mine", "yours", "mine"),
        ("clumsy-model-7", None, "clumsy-model-7"),
    ],
)
def test_a_name_that_a_user_gave_stays(client, tmp_path, made, monkeypatch, theirs, variable, shown):
    run_id = made(tags=PROJECT, name=theirs)
    if variable:
        monkeypatch.setenv("MLFLOW_RUN_NAME", variable)
    assert client.get_run(begin(tmp_path)).info.run_name == shown
    assert client.get_run(run_id).info.run_name == shown


def test_names_that_mlflow_makes_are_known(client):
    from kdflow.tracking.surroundings import is_named_by_user

    for _ in range(5):
        assert not is_named_by_user(client.create_run("0"))
    assert is_named_by_user(client.create_run("0", run_name="baseline-fish-3"))


def test_a_run_of_ones_own_takes_its_name_and_its_parent_from_the_environment(client, tmp_path, monkeypatch):
    parent = client.create_run("0", run_name="sweep").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_NAME", "yours")
    monkeypatch.setenv("MLFLOW_PARENT_RUN_ID", parent)
    for run in (client.get_run(begin(tmp_path)) for _ in range(2)):
        assert (run.info.run_name, run.info.experiment_id) == ("yours", "0")
        assert run.data.tags["mlflow.parentRunId"] == parent


def test_in_python_a_run_is_nested_in_the_active_one_when_asked(client, tmp_path, small_data):
    import mlflow

    from kdflow.experiments.commands import run_student

    alone = {"runs_dir": str(tmp_path), "alpha": 1, "batch_size": 16, "epochs": 1}
    with mlflow.start_run(run_name="mine") as mine:
        nested = run_student(student_config(**alone), nested=True)
        beside = run_student(student_config(**alone))
        assert mlflow.active_run().info.run_id == mine.info.run_id
    not_active = run_student(student_config(**alone), nested=True)
    tags = [client.get_run(one.run_id).data.tags for one in (nested, beside, not_active)]
    assert [one.get("mlflow.parentRunId") for one in tags] == [mine.info.run_id, None, None]
    assert client.get_run(nested.run_id).info.experiment_id == mine.info.experiment_id
    assert client.get_run(mine.info.run_id).data.metrics == {}


def test_all_of_a_study_is_in_the_experiment_of_the_run_that_it_is_nested_in(client, tmp_path, small_data):
    import mlflow

    from kdflow.experiments.study import run_study

    theirs = client.create_experiment("theirs")
    config = study_config(runs_dir=str(tmp_path), alphas=1, teacher_epochs=1, student_epochs=1)
    with mlflow.start_run(experiment_id=theirs):
        run_study(config, nested=True)
    (study,) = client.search_runs([theirs], "tags.`kdflow.role` = 'study'")
    inside = client.search_runs([theirs], f"tags.`mlflow.parentRunId` = '{study.info.run_id}'")
    assert {run.data.tags["kdflow.role"] for run in inside} == {"teacher", "student"}


def test_the_place_of_artifacts_is_asked_of_the_experiment_that_the_run_will_be_in(client, tmp_path, monkeypatch):
    from kdflow.tracking.checks import require_ready

    (tmp_path / "in the way").write_text("a file")
    theirs = client.create_experiment("unwritable", f"{tmp_path / 'in the way'}/artifacts")
    run_id = client.create_run(theirs).info.run_id
    require_ready()
    with pytest.raises(TrackingError, match="artifacts of experiment 'unwritable' cannot be written"):
        require_ready(named=run_id)


def test_a_run_that_goes_on_leaves_runs_alone_that_were_not_made_for_this(
    client, tmp_path, small_data, made, monkeypatch
):
    from kdflow.experiments.commands import run_student
    from tests.interruptions import after_epoch, interrupted, kept_run

    config = {"alpha": 1, "batch_size": 16, "epochs": 2, "runs_dir": str(tmp_path)}
    interrupted(lambda: run_student(student_config(**config)), after_epoch(1))
    run_id = kept_run(tmp_path)
    other = made(tags={"kdflow.role": "teacher"}, name="a teacher")
    before = client.get_run(other).to_dictionary()
    interrupted(lambda: run_student(student_config(**config, resume=run_id)), after_epoch(2))
    assert client.get_run(other).to_dictionary() == before
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert run_student(student_config(**config, resume=run_id)).run_id == run_id
    run = client.get_run(run_id)
    assert (run.info.run_name, run.data.tags["kdflow.role"]) == ("student alpha=1 seed=0", "student")
