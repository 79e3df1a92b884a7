"""What needs neither torch nor MLflow does not wait for them; and a glance at the store sees what MLflow would."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from kdflow.config import StudentConfig, flat
from kdflow.config.option import show
from kdflow.journal.journal import Journal
from kdflow.tracking import store_glance

HEAVY = "{'torch', 'mlflow', 'numpy', 'sklearn', 'matplotlib', 'sqlalchemy'}"


def answered(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and what was said by a command that imported nothing heavy."""
    code = f"import sys\nfrom kdflow.cli.main import main\nsys.argv = ['kdflow', *{list(arguments)!r}]\ntry: main()\n"
    code += f"finally: print(sorted({HEAVY} & set(sys.modules)))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=60,
    )
    *said, heavy = done.stdout.splitlines()
    assert heavy == "[]"
    return done.returncode, "\n".join([*said, *done.stderr.splitlines()])


@pytest.fixture
def stopped(tmp_path):
    """A folder with a student that was stopped, and that the store has."""
    config = {name: show(value) for name, value in flat(StudentConfig()).items()} | {"dataset": "digits"}
    journal = Journal.begin(tmp_path / "runs", "student", {"config": config})
    journal.append("create", journal.key, name="student", tags={}, adopt=None, experiment={})
    journal.append("status", journal.key, status="KILLED")
    journal.ids = {journal.key: "0123456789abcdef0123456789abcdef"}
    journal.mark_delivered()
    journal.mark_delivered()
    return journal


def test_what_can_be_told_from_files_is_told_from_files(tmp_path, stopped):
    run_id = stopped.id
    assert answered(tmp_path, "list")[0] == 0
    assert answered(tmp_path, "sync") == (0, "The store has everything that runs keeps.")
    code, said = answered(tmp_path, "doctor")
    assert code == 0
    assert said.splitlines() == [
        f"{stopped.key} can go on: kdflow student --resume {run_id}",
        f"No run is open in sqlite:///{tmp_path}/mlflow.db.",
    ]
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("student", "--resume", "nonsense"), 1, "keeps nothing of such a run"),
        (("teacher", "--resume", "RUN"), 1, "this is no teacher: kdflow student --resume"),
        (("student", "--resume", "RUN", "--lr", "0.2"), 2, "other options than those of the run: --lr 0.2"),
        (("student", "--resume", "RUN", "--dataset", "cifar10"), 2, "--dataset cifar10 (the run has digits)"),
    ],
)
def test_a_run_that_cannot_go_on_as_asked_is_refused_at_once(tmp_path, stopped, arguments, code, words):
    answer = answered(tmp_path, *(stopped.id if one == "RUN" else one for one in arguments))
    assert answer[0] == code
    assert words in answer[1]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """A store with a run that has ended."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = MlflowClient(f"sqlite:///{path}")
    client.set_terminated(client.create_run("0").info.run_id)
    return path


def test_a_glance_sees_whether_any_run_is_open(template, tmp_path):
    from mlflow import MlflowClient

    address = f"sqlite:///{tmp_path / 'a store.db'}"
    assert store_glance.is_idle(address), "where there is no store, no run is open"
    shutil.copy(template, tmp_path / "a store.db")
    assert store_glance.is_idle(address)
    run_id = MlflowClient(address).create_run("0").info.run_id
    assert not store_glance.is_idle(address)
    MlflowClient(address).delete_run(run_id)
    assert store_glance.is_idle(address)


def test_a_store_of_another_mlflow_is_left_to_mlflow(template, tmp_path):
    shutil.copy(template, tmp_path / "mlflow.db")
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        store.execute("UPDATE alembic_version SET version_num = 'f00dfeedbeef'")
    store.close()
    assert not store_glance.is_idle(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.fault
def test_what_a_glance_cannot_tell_is_left_to_mlflow(tmp_path):
    (tmp_path / "damaged.db").write_bytes(b"no database")
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE other (x)")
    for address in (
        "",
        f"sqlite:///{tmp_path}/damaged.db",
        f"sqlite:///{tmp_path}/other.db",
        f"sqlite:///{tmp_path}/a%20b.db",
        f"sqlite:///{tmp_path}/gone.db?mode=ro",
        f"sqlite:///{tmp_path}",
        str(tmp_path),
        "http://127.0.0.1:9",
        "http://[",
        "https://me:secret@host",
        "postgresql://host/db",
        "databricks",
    ):
        assert not store_glance.is_idle(address), address


def test_where_credentials_are_set_a_server_is_left_to_mlflow(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
    monkeypatch.setattr(store_glance, "_any_on_server", lambda address: pytest.fail("asked"))
    assert not store_glance.is_idle("http://127.0.0.1:9")


def test_where_mlflow_was_told_of_a_store_it_is_asked(monkeypatch):
    import mlflow  # noqa: F401

    assert store_glance.store_address() == ""
    monkeypatch.delitem(sys.modules, "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////x.db")
    assert store_glance.store_address() == "sqlite:////x.db"


@pytest.mark.slow
def test_a_glance_at_a_server_sees_the_same(tmp_path):
    from mlflow import MlflowClient

    from tests.servers import free_port, running

    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    store = {
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    address = f"http://127.0.0.1:{port}"
    with running(command, port, tmp_path, store):
        client = MlflowClient(address)
        assert store_glance.is_idle(address)
        run_id = client.create_run("0").info.run_id
        assert not store_glance.is_idle(address)
        client.set_terminated(run_id)
        assert store_glance.is_idle(f"{address}/")
