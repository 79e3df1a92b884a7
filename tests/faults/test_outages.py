"""A real MLflow server that is away, falls silent or dies: training goes on, and the server has everything in the end.

Not covered: a server that answers wrongly, and artifact stores other than a folder behind the server.
"""

import signal
import socket
import time

import pytest

from tests import servers
from tests.commands import STUDY, TEACHER, Command, run

AT_MOST = 5.0 + 4.0
"""Seconds that an epoch may take here with a server that is away: what it may wait, and what it computes."""


@pytest.fixture(scope="module")
def only_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    server = servers.Server(folder, f"sqlite:///{folder / 'mlflow.db'}")
    yield server
    server.kill()


@pytest.fixture
def server(only_server, monkeypatch):
    """The server, well; a test may leave it dead."""
    only_server.ensure()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", only_server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    return only_server


def runs_of(folder, kind):
    """The keys and ids of all runs of the newest command of a kind."""
    from kdflow.journal.journal import Journal

    *_, newest = [journal for journal in Journal.every(folder / "runs") if journal.started["kind"] == kind]
    assert newest.pending == 0
    return newest.ids


def assert_complete(folder, kind, *, epochs, models):
    """Everything that the journal of the newest command of a kind tells is in the store, once.

    Args:
        epochs: How many each run of a role logged.
        models: How many model versions its runs registered.
    """
    from mlflow import MlflowClient

    client, versions = MlflowClient(), []
    for key, run_id in runs_of(folder, kind).items():
        stored = client.get_run(run_id)
        role = stored.data.tags["kdflow.role"]
        assert (stored.info.status, stored.info.end_time is not None) == ("FINISHED", True), key
        assert stored.data.tags["kdflow.key"].partition("@")[0] == key
        for name in ("train/loss", "val/accuracy", "learning_rate") if role in epochs else ():
            steps = [metric.step for metric in client.get_metric_history(run_id, name)]
            assert steps == [*range(1, epochs[role] + 1)], (key, name, steps)
        if role in epochs:
            assert len(client.get_metric_history(run_id, "final/test_accuracy")) == 1
            assert {"environment.json", "loss_curves.png", "weights"} <= {
                one.path for one in client.list_artifacts(run_id)
            }
            assert len(stored.inputs.dataset_inputs) == 3
            assert int(stored.data.params["epochs"]) == epochs[role]
            versions += client.search_model_versions(f"run_id = '{run_id}'")
    assert len(versions) == models
    assert all(one.status == "READY" for one in versions)


def assert_nested(folder):
    """All runs of the newest study are in it, and its students name its teacher, by the ids of the store."""
    from mlflow import MlflowClient

    ids = runs_of(folder, "study")
    study = min(ids, key=len)
    (teacher,) = [key for key in ids if "/teacher-" in key]
    for key in ids.keys() - {study}:
        tags = MlflowClient().get_run(ids[key]).data.tags
        assert tags["mlflow.parentRunId"] == tags["kdflow.study_id"] == ids[study]
        taught = tags["kdflow.role"] == "student" and "alpha=1" not in tags["mlflow.runName"]
        assert tags.get("kdflow.teacher_run_id") == (ids[teacher] if taught else None)


def rows(text):
    """The lines of a printed table that tell figures."""
    table = ("teacher small-cnn ", "student small-cnn ")
    return [line.split() for line in text.splitlines() if line.startswith(table)]


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize(("silent", "seconds"), [(False, 20), (True, 40)])
def test_a_server_that_cannot_be_reached_at_the_start_is_an_error_within_seconds(
    tmp_path, record_property, silent, seconds
):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        if silent:
            taken.listen()
        began = time.monotonic()
        code, said = run(*TEACHER, folder=tmp_path, store=f"http://127.0.0.1:{taken.getsockname()[1]}")
    record_property("faults", 1)
    assert (code, len(said.splitlines())) == (4, 1)
    assert all(words in said for words in ("--offline", "kdflow sync", "http://127.0.0.1"))
    assert time.monotonic() - began < seconds, "most of it for imports"
    assert not any(tmp_path.rglob("*.json"))


@pytest.mark.fault
@pytest.mark.slow
def test_what_a_server_missed_while_it_was_dead_is_told_when_it_is_back(server, tmp_path, record_property):
    command = Command.start(*TEACHER, "--epochs", "30", folder=tmp_path, store=server.address)
    command.wait_for("epoch 3/30")
    server.kill()
    command.wait_for("epoch 12/30")
    command.signal(signal.SIGSTOP)  # a server takes longer to start than digits to learn
    server.start()
    command.signal(signal.SIGCONT)
    record_property("faults", 1)
    assert command.end() == 0, command.text
    assert command.text.count("Warning") == 1
    assert command.text.count("can be used again and has everything") == 1
    assert_complete(tmp_path, "teacher", epochs={"teacher": 30}, models=1)


@pytest.mark.fault
@pytest.mark.slow
def test_a_server_that_falls_silent_holds_no_epoch_up_for_long(server, tmp_path, record_property):
    command = Command.start(*TEACHER, "--epochs", "60", folder=tmp_path, store=server.address)
    command.wait_for("epoch 3/60")
    server.signal(signal.SIGSTOP)
    try:
        command.wait_for("epoch 45/60")
    finally:
        server.signal(signal.SIGCONT)
    record_property("faults", 1)
    assert command.end() == 0, command.text
    print(f"longest epoch: {command.longest_epoch():.1f} s")
    assert command.longest_epoch() < AT_MOST
    assert command.text.count("Warning") == 1
    assert_complete(tmp_path, "teacher", epochs={"teacher": 60}, models=1)


@pytest.mark.fault
@pytest.mark.slow
def test_a_study_whose_server_dies_trains_on_and_is_complete_after_sync(server, tmp_path, record_property):
    options = ("--teacher-epochs", "4", "--student-epochs", "6")
    command = Command.start(*STUDY, *options, folder=tmp_path, store=server.address)
    command.wait_for("student small-cnn")
    command.wait_for("epoch 2/6")
    server.kill()
    record_property("faults", 1)
    assert command.end() == 4, command.text
    print(f"longest epoch: {command.longest_epoch():.1f} s")
    assert command.longest_epoch() < AT_MOST
    assert command.text.count("Warning") == 1
    assert "run `kdflow sync`" in command.text.splitlines()[-1]
    table = rows(command.text)
    assert len(table) == 4, command.text
    assert run("sync", folder=tmp_path, store=server.address)[0] == 4
    server.start()
    code, said = run("sync", folder=tmp_path, store=server.address)
    assert code == 0, said
    assert_complete(tmp_path, "study", epochs={"teacher": 4, "student": 6}, models=4)
    assert_nested(tmp_path)
    code, said = run("compare", folder=tmp_path, store=server.address)
    assert code == 0
    assert rows(said) == table
    assert "has everything" in run("sync", folder=tmp_path, store=server.address)[1]


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize("moment", ['"kind": "artifact"', '"kind": "register"'])
def test_a_server_that_dies_as_a_model_is_handed_over_has_it_once_after_sync(server, tmp_path, record_property, moment):
    command = Command.start(*TEACHER, "--epochs", "2", folder=tmp_path, store=server.address)
    command.wait_for("epoch 2/2")
    while not any(moment in path.read_text() for path in tmp_path.glob("runs/*/journal.jsonl")):
        assert command.process.poll() is None, command.text
        time.sleep(0.01)
    if "register" in moment:
        time.sleep(1)  # into the export
    server.kill()
    record_property("faults", 1)
    assert command.end() == 4, command.text
    assert command.text.count("Warning") == 1
    server.start()
    code, said = run("sync", folder=tmp_path, store=server.address)
    assert code == 0, said
    assert_complete(tmp_path, "teacher", epochs={"teacher": 2}, models=1)


@pytest.mark.slow
def test_what_is_done_offline_is_done_on_a_server_after_sync(server, tmp_path):
    options = ("--teacher-epochs", "2", "--student-epochs", "2", "--alphas", "1,0")
    code, said = run(*STUDY, *options, "--offline", folder=tmp_path, store="http://127.0.0.1:9")
    assert code == 0, said
    code, said = run("sync", folder=tmp_path, store=server.address)
    assert code == 0, said
    assert_complete(tmp_path, "study", epochs={"teacher": 2, "student": 2}, models=3)
    assert_nested(tmp_path)
