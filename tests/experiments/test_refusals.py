"""What a store refuses for good: it holds nothing else up, is told with its remedy, and can be told again later."""

import errno
import os
import shutil

import pytest
from mlflow.exceptions import MlflowException, RestException
from requests import ConnectionError as NobodyThere
from requests import HTTPError, Response
from requests.exceptions import RetryError
from sqlalchemy.exc import OperationalError

from kdflow.common.errors import KdflowError, TrackingError
from kdflow.config import DoctorConfig, SyncConfig
from kdflow.experiments.doctor import run_doctor
from kdflow.experiments.sync import run_sync
from kdflow.journal.journal import Journal
from kdflow.tracking import delivery
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.refusals import is_refusal, may_pass
from kdflow.tracking.run import Run


@pytest.fixture(scope="module")
def store(own_store):
    return own_store


@pytest.fixture
def client(store):
    from mlflow import MlflowClient

    return MlflowClient()


@pytest.fixture
def begun(store, tmp_path, monkeypatch, request):
    """The outbox of a command and its run, in an experiment of its own."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    told = Outbox(Journal.begin(tmp_path, "teacher", {"store": os.environ["MLFLOW_TRACKING_URI"]}))
    return told, Run(told, "teacher", "teacher")


def refused(told, match):
    """What a command ends with, though the store has all the rest."""
    with pytest.raises(TrackingError, match=match) as caught:
        told.require_told()
    assert caught.value.exit_code == 4
    assert "kdflow sync" in str(caught.value)
    assert told.journal.untold == 0


def mended(told):
    """What is kept is told by `sync`, once."""
    run_sync(SyncConfig(str(told.journal.folder.parent)))
    again = Journal(told.journal.folder)
    assert again.pending == 0
    return again


def outcome(status):
    response = Response()
    response.status_code = status
    return HTTPError("said the server", response=response)


def caused(cause):
    """MLflow raises this for everything that it has no code for."""
    error = MlflowException("API request failed")
    error.__context__ = cause
    return error


def of_code(code):
    return RestException({"error_code": code, "message": "said the server"})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (of_code("INVALID_PARAMETER_VALUE"), True),
        (of_code("RESOURCE_DOES_NOT_EXIST"), True),
        (of_code("PERMISSION_DENIED"), True),
        (of_code("ENDPOINT_NOT_FOUND"), True),
        (of_code("TEMPORARILY_UNAVAILABLE"), False),
        (of_code("REQUEST_LIMIT_EXCEEDED"), False),
        (caused(NobodyThere("refused")), False),
        (caused(RetryError("too many 503 error responses")), False),
        (caused(RetryError("too many 500 error responses")), True),
        (caused(PermissionError(errno.EACCES, "no")), True),
        (MlflowException("it cannot be exported"), True),
        (outcome(403), True),
        (outcome(413), True),
        (outcome(429), False),
        (outcome(504), False),
        (TimeoutError("silence"), False),
        (NotADirectoryError(errno.ENOTDIR, "no"), True),
        (OSError(errno.EROFS, "no"), True),
        (OSError(errno.ENOSPC, "full"), False),
        (OperationalError("insert", {}, Exception("database is locked")), False),
        (KdflowError("the weights are damaged"), True),
        (ValueError("it cannot be exported"), True),
        (ModuleNotFoundError("boto3"), True),
    ],
    ids=repr,
)
def test_what_would_be_refused_again_is_told_apart_from_what_may_pass(error, expected):
    assert is_refusal(error) == expected


@pytest.mark.parametrize(
    "error",
    [
        outcome(500),
        outcome(524),
        caused(RetryError("too many 500 error responses")),
        of_code("BAD_REQUEST"),  # so MLflow calls a pool of connections that is used up
    ],
)
def test_a_server_that_fails_without_a_reason_may_answer_later(error):
    assert is_refusal(error)
    assert may_pass(error)


@pytest.mark.parametrize("error", [outcome(403), of_code("INVALID_PARAMETER_VALUE"), ValueError("it is no model")])
def test_what_has_a_reason_does_not_pass(error):
    assert not may_pass(error)


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["create", "metrics", "status"])
def test_a_server_that_fails_for_a_moment_is_told_all_the_same(
    store, tmp_path, client, monkeypatch, kind, record_property
):
    """Whichever entry meets the failure: none of it is lost, and the run is ended."""
    monkeypatch.setattr("kdflow.tracking.outbox.BREATH", 0.01)
    record_property("faults", 1)
    failures = [outcome(500), outcome(500)]
    tell = delivery._DELIVERIES[kind]

    def failing(entry, journal):
        if failures:
            raise failures.pop()
        tell(entry, journal)

    monkeypatch.setitem(delivery._DELIVERIES, kind, failing)
    told = Outbox(Journal.begin(tmp_path, "teacher", {"store": os.environ["MLFLOW_TRACKING_URI"]}))
    run = Run(told, "teacher", "teacher")
    run.metrics({"train/loss": 1.0}, step=1)
    run.close("KILLED")
    assert told.settle(within=5)
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("KILLED", {"train/loss": 1.0})


@pytest.mark.fault
def test_a_run_that_was_deleted_is_not_made_again_when_all_is_told_again(begun, client, record_property):
    told, run = begun
    record_property("faults", 1)
    run.close("FINISHED")
    told.require_told()
    client.delete_run(run.id)
    told.journal.refused[0] = "as if its teacher were not told yet"
    refused(told, "the run is deleted; restore it with `mlflow runs restore")
    experiment = client.get_run(run.id).info.experiment_id
    assert client.search_runs([experiment]) == []
    client.restore_run(run.id)
    assert mended(told).ids == {told.journal.key: run.id}


@pytest.mark.fault
def test_a_param_that_is_refused_holds_nothing_up_and_is_warned_of_once(begun, client, capsys, record_property):
    told, run = begun
    record_property("faults", 1)
    run.params({"what?": 1})
    run.metrics({"train/loss": 1.0}, step=1)
    run.text("much", "note.txt")
    run.close("FINISHED")
    refused(told, r"Names may only contain.*1 entries are kept.*once that is mended")
    stored = client.get_run(run.id)
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"train/loss": 1.0})
    assert [one.path for one in client.list_artifacts(run.id)] == ["note.txt"]
    assert capsys.readouterr().out.count("Warning") == 1
    assert Journal(told.journal.folder).pending == 1


@pytest.mark.fault
def test_artifacts_that_cannot_be_written_hold_nothing_up_and_are_told_once_they_can(
    store, begun, client, capsys, record_property
):
    told, run = begun
    place = client.get_experiment(client.get_run(run.id).info.experiment_id).artifact_location
    os.makedirs(os.path.dirname(place), exist_ok=True)
    with open(place, "w") as file:
        file.write("in the way")
    record_property("faults", 1)
    run.text("much", "note.txt")
    run.metrics({"train/loss": 1.0}, step=1)
    run.close("FINISHED")
    refused(told, place)
    assert client.get_run(run.id).info.status == "FINISHED"
    run_doctor(DoctorConfig(str(told.journal.folder.parent)))
    assert "1 entries wait for the store (it refused them: " in capsys.readouterr().out
    os.unlink(place)
    mended(told)
    assert [one.path for one in client.list_artifacts(run.id)] == ["note.txt"]


@pytest.mark.fault
def test_a_model_that_cannot_be_registered_leaves_its_run_whole_and_finished(begun, client, record_property):
    told, run = begun
    (run.artifacts / "weights").mkdir()
    record_property("faults", 1)
    run.register("kdflow-teacher-nothing", "weights", {"val_accuracy": 0.5})
    run.metrics({"final/test_accuracy": 0.5})
    run.close("FINISHED")
    refused(told, "card.json cannot be read")
    assert client.get_run(run.id).info.status == "FINISHED"
    assert client.get_run(run.id).data.metrics == {"final/test_accuracy": 0.5}


@pytest.mark.fault
def test_a_run_that_is_deleted_meanwhile_is_told_once_it_is_restored(begun, client, record_property):
    told, run = begun
    client.delete_run(run.id)
    record_property("faults", 1)
    run.metrics({"train/loss": 1.0}, step=1)
    run.close("FINISHED")
    refused(told, f"the run is deleted; restore it with `mlflow runs restore --run-id {run.id}`")
    client.restore_run(run.id)
    mended(told)
    assert client.get_run(run.id).info.status == "FINISHED"
    assert client.get_run(run.id).data.metrics == {"train/loss": 1.0}


@pytest.mark.fault
def test_what_was_for_a_deleted_experiment_is_told_to_another(begun, client, capsys, record_property):
    told, run = begun
    before = run.id
    experiment = client.get_run(before).info.experiment_id
    client.delete_experiment(experiment)
    record_property("faults", 1)
    run.metrics({"train/loss": 1.0}, step=1)
    run.close("FINISHED")
    refused(told, f"`mlflow experiments restore --experiment-id {experiment}`")
    with pytest.raises(TrackingError, match="1 could not be told"):
        run_sync(SyncConfig(str(told.journal.folder.parent)))
    assert "restore" in capsys.readouterr().out
    run_sync(SyncConfig(str(told.journal.folder.parent), experiment="another"))
    again = Journal(told.journal.folder)
    stored = client.get_run(again.id)
    assert (again.pending, again.id != before) == (0, True)
    assert stored.info.experiment_id == client.get_experiment_by_name("another").experiment_id
    assert (stored.info.status, stored.data.metrics) == ("FINISHED", {"train/loss": 1.0})


@pytest.mark.fault
def test_what_names_an_experiment_that_is_not_there_is_kept_whole_and_told_to_another(
    store, tmp_path, client, monkeypatch, record_property
):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "4711")
    told = Outbox(Journal.begin(tmp_path, "teacher", {"store": ""}))
    record_property("faults", 1)
    with Run(told, "teacher", "teacher") as run:
        run.metrics({"train/loss": 1.0}, step=1)
    refused(told, "MLFLOW_EXPERIMENT_ID '4711': there is no such experiment")
    assert told.journal.pending == 3
    run_sync(SyncConfig(str(tmp_path), experiment="another"))
    (journal,) = Journal.every(tmp_path)
    assert client.get_run(journal.id).data.metrics == {"train/loss": 1.0}


def test_a_run_that_the_store_has_stays_in_its_experiment(begun, client, capsys):
    told, run = begun
    told.offline = True
    run.close("FINISHED")
    run_sync(SyncConfig(str(told.journal.folder.parent), experiment="another"))
    assert "it stays in its experiment" in capsys.readouterr().out
    assert client.get_run(run.id).info.status == "FINISHED"


@pytest.mark.fault
def test_a_killed_run_of_which_something_is_refused_is_closed_by_sync(begun, client, record_property):
    told, run = begun
    run.params({"what?": 1})
    record_property("faults", 1)
    with pytest.raises(TrackingError):
        run_sync(SyncConfig(str(told.journal.folder.parent)))
    assert client.get_run(run.id).info.status == "KILLED"


def test_sync_refuses_an_experiment_that_is_deleted(begun, client, capsys):
    told, run = begun
    told.offline = True
    run.close("FINISHED")
    client.delete_run(run.id)
    client.delete_experiment(client.create_experiment("gone"))
    with pytest.raises(TrackingError):
        run_sync(SyncConfig(str(told.journal.folder.parent), experiment="gone"))
    assert "experiment 'gone' is deleted" in capsys.readouterr().out
    shutil.rmtree(told.journal.folder)
