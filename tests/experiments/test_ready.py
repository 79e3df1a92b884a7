"""What is asked of the store before any work: experiment, artifact place, sqlite file, server.

Real servers are in tests/faults/test_outages.py; here something small answers in their place.
"""

import json
import os
import shutil
import tempfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kdflow.common.errors import TrackingError
from kdflow.journal.journal import Journal
from kdflow.tracking.address import uri
from kdflow.tracking.checks import make_ready, require_ready
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run
from tests.experiments.conftest import teacher_config


@pytest.fixture(scope="module")
def store(own_store):
    """The folder of a store of this file's own, with an experiment that is deleted."""
    from mlflow import MlflowClient

    client = MlflowClient()
    client.delete_experiment(client.create_experiment("gone"))
    return own_store


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory of its own, in which there is no store yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def refused(match):
    with pytest.raises(TrackingError, match=match) as caught:
        require_ready()
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    assert "--offline" in str(caught.value)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("variable", "value", "match"),
    [
        (
            "NAME",
            "gone",
            r"experiment 'gone' is deleted: restore it with `mlflow experiments restore --experiment-id 1`",
        ),
        ("NAME", "  ", "blank"),
        ("ID", "1", r"experiment 'gone' is deleted: restore it with `mlflow experiments restore --experiment-id 1`"),
        ("ID", "4711", r"MLFLOW_EXPERIMENT_ID '4711': there is no such experiment"),
        ("ID", "kdflow", r"MLFLOW_EXPERIMENT_ID 'kdflow': there is no such experiment"),
        ("ID", "-1", r"MLFLOW_EXPERIMENT_ID '-1': there is no such experiment"),
    ],
)
def test_an_experiment_that_takes_no_runs_is_refused_before_training_and_nothing_is_left(
    store, tmp_path, monkeypatch, record_property, variable, value, match
):
    from kdflow.experiments.commands import run_teacher

    monkeypatch.setenv(f"MLFLOW_EXPERIMENT_{variable}", value)
    record_property("faults", 1)
    with pytest.raises(TrackingError, match=match) as caught:
        run_teacher(teacher_config(runs_dir=str(tmp_path)))
    assert caught.value.exit_code == 4
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("variable", "value"), [("NAME", ""), ("ID", ""), ("ID", "0"), ("NAME", "Default")])
def test_a_variable_that_is_empty_says_nothing_and_the_default_experiment_is_one(store, monkeypatch, variable, value):
    monkeypatch.setenv(f"MLFLOW_EXPERIMENT_{variable}", value)
    require_ready()


@pytest.mark.fault
def test_an_id_is_refused_where_there_is_no_store_yet_and_none_is_made(place, monkeypatch, record_property):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "7")
    record_property("faults", 1)
    refused("there is no such experiment")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_ID", "0")
    require_ready()
    assert not any(place.iterdir())


@pytest.mark.fault
def test_a_file_where_artifacts_would_go_is_refused_whether_the_store_is_there_or_not(
    place, store, monkeypatch, record_property
):
    (place / "mlruns").write_text("in the way")
    record_property("faults", 2)
    refused(r"artifacts of experiment 'kdflow' cannot be written to .*mlruns \(Not a directory\): make that writable")
    shutil.copy(store / "mlflow.db", place)
    refused("artifacts of experiment 'kdflow' cannot be written to")
    assert sorted(path.name for path in place.iterdir()) == ["mlflow.db", "mlruns"]


@pytest.mark.fault
def test_the_place_of_an_experiment_that_is_there_is_tried_and_not_that_of_others(store, monkeypatch, record_property):
    from mlflow import MlflowClient

    MlflowClient().create_experiment("in proc", artifact_location="/proc/artifacts")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "in proc")
    record_property("faults", 1)
    refused("artifacts of experiment 'in proc' cannot be written to /proc/artifacts")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "Default")
    require_ready()


def test_asking_leaves_nothing_behind(store):
    def everything():
        return {path: path.stat().st_mtime_ns for path in store.rglob("*") if path.is_file()}

    before = everything()
    require_ready()
    make_ready()
    assert everything() == before


@pytest.fixture
def unprivileged(monkeypatch):
    """A folder of root's in which a user without rights runs; root may write where no bit says so."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")

    @contextmanager
    def running():
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(user)

    yield folder, running
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.fault
@pytest.mark.parametrize("there", ["nothing", "a file and folder read-only", "a folder read-only"])
def test_a_sqlite_store_that_cannot_be_written_is_refused_before_training(store, unprivileged, record_property, there):
    folder, running = unprivileged
    if there != "nothing":
        shutil.copy(store / "mlflow.db", folder)
        (folder / "mlflow.db").chmod(0o444 if "file" in there else 0o666)
    folder.chmod(0o555)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    record_property("faults", 1)
    with running():
        refused("writable, or name another store in MLFLOW_TRACKING_URI")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.fault
def test_a_sqlite_store_in_no_folder_is_refused(place, monkeypatch, record_property):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}/nowhere/mlflow.db")
    record_property("faults", 1)
    refused("there is no such folder")
    assert not any(place.iterdir())


@pytest.mark.parametrize("name", ["with a blank", "a#b", "ümläut", "100%", "a;b&c+d", "why?"])
def test_a_folder_of_any_name_keeps_its_store_and_its_artifacts(place, store, monkeypatch, name):
    from mlflow import MlflowClient

    (place / name).mkdir()
    shutil.copy(store / "mlflow.db", place / name)
    monkeypatch.chdir(place / name)
    require_ready()
    told = Outbox(Journal.begin(Path("runs"), "teacher", {"store": uri()}))
    with Run(told, "teacher", "teacher") as run:
        run.text("much", "note.txt")
    told.require_told()
    assert sorted(path.name for path in Path().iterdir()) == ["mlflow.db", "mlruns", "runs"]
    (kept,) = Path("mlruns").rglob("note.txt")
    assert run.id in kept.parts
    assert Path(MlflowClient(uri()).download_artifacts(run.id, "note.txt")).read_text() == "much"
    assert [path.name for path in place.iterdir()] == [name]


@pytest.mark.fault
def test_an_experiment_whose_place_mlflow_would_misread_is_refused(store, monkeypatch, record_property):
    from mlflow import MlflowClient

    MlflowClient().create_experiment("misread", artifact_location=f"{store}/a%20b/mlruns/0")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "misread")
    record_property("faults", 1)
    refused("would write to .*/a b/mlruns/0; rename that folder")


@pytest.mark.fault
def test_a_folder_from_which_mlflow_could_load_no_model_is_refused(place, monkeypatch, record_property):
    (place / "a%41b").mkdir()
    monkeypatch.chdir(place / "a%41b")
    record_property("faults", 1)
    refused("would write to .*/aAb/mlruns; rename that folder")
    assert [path.name for path in place.rglob("*")] == ["a%41b"]


class Answers(BaseHTTPRequestHandler):
    """Answers each request as the server's `answer` says, by its path."""

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, body = self.server.answer(self.path)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def log_message(self, *_):
        pass


@pytest.fixture
def answering(monkeypatch):
    """`answering(answer)`: what `answer(path)` gives, a status and a body, is served where the store is looked for."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def serve(answer):
        server.answer = answer
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{server.server_port}")

    yield serve
    server.shutdown()
    thread.join()
    server.server_close()


def a_server(version, *, without="nothing"):
    """What an MLflow server of a version answers that has one experiment; 404 to paths with what it is without."""
    experiment = {"experiment_id": "1", "name": "kdflow", "lifecycle_stage": "active"}
    experiment["artifact_location"] = "mlflow-artifacts:/1"

    def answer(path):
        if without in path:
            return 404, b"<!doctype html><title>404 Not Found</title>"
        if path == "/version":
            return 200, version.encode()
        return 200, json.dumps({"experiments": [experiment], "experiment": experiment}).encode()

    return answer


@pytest.mark.fault
def test_a_server_that_knows_no_logged_models_is_refused_with_both_versions(answering, record_property):
    import mlflow

    answering(a_server("2.22.0", without="logged-models"))
    record_property("faults", 1)
    refused(f"is version 2.22.0, which knows no logged models; this is MLflow {mlflow.__version__}")
    answering(a_server("1.30.0", without="experiments/search"))
    refused("is version 1.30.0")


def test_a_newer_server_is_used_if_it_answers(answering):
    answering(a_server("4.1.0"))
    require_ready()


@pytest.mark.fault
@pytest.mark.parametrize(
    ("status", "body", "match"),
    [
        (200, b"<!doctype html><title>a page</title>", "is no MLflow server: set MLFLOW_TRACKING_URI"),
        (404, b"<!doctype html><title>Not Found</title>", "is no MLflow server: set MLFLOW_TRACKING_URI"),
        (404, b'{"detail": "Not Found"}', "is no MLflow server: set MLFLOW_TRACKING_URI"),
        (405, b"not allowed", "is no MLflow server: set MLFLOW_TRACKING_URI"),
        (401, b"You are not authenticated.", "MLFLOW_TRACKING_USERNAME"),
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "MLFLOW_TRACKING_USERNAME"),
        (503, b"down for the day", "503"),
    ],
)
def test_what_is_no_mlflow_server_or_lets_nobody_in_is_refused_at_once(answering, record_property, status, body, match):
    answering(lambda path: (status, body))
    record_property("faults", 1)
    refused(match)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("status", "match"), [(500, "cannot be written to mlflow-artifacts:/1"), (403, "403"), (413, "413")]
)
def test_a_server_that_takes_no_artifacts_is_refused(answering, record_property, status, match):
    known = a_server("3.17.2")
    answering(lambda path: (status, b"no") if "mlflow-artifacts/" in path else known(path))
    record_property("faults", 1)
    refused(match)


@pytest.mark.fault
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"])
def test_a_name_from_the_environment_that_is_no_utf8_is_refused_before_training(place, monkeypatch, variable):
    monkeypatch.setenv(variable, "sqlite:///caf\udce9.db")
    refused(rf"{variable} is 'sqlite:///caf.*udce9.db', which is no UTF-8")
    assert list(place.iterdir()) == []
