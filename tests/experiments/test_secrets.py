"""Passwords in the addresses of stores are written nowhere, and a teacher whose weights were exchanged runs no code.

Whole commands, each a process of its own (slow). Not covered: what MLflow's own server writes into its own log.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdflow.common.files import sha256
from tests.hostile import Hostile, in_a_zip
from tests.servers import ENVIRONMENT, free_port, running

ROOT = Path(__file__).parents[2]
SECRET = "s3cret"
SHORT = ["--dataset", "digits", "--epochs", "1", "--threads", "1", "--device", "cpu"]

# A text and what is left of it, where that is settled.
ADDRESSES = [
    ("http://user:s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("HTTPS://user:s3cret@127.0.0.1:9/base/", "HTTPS://127.0.0.1:9/base/"),
    ("http://user:s3@cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://user:s3/cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://user:s3?cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://user:s3#cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://user:s3%40cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
    ("http://127.0.0.1:9?token=s3cret", "http://127.0.0.1:9"),
    ("http://127.0.0.1:9/base?a=1&token=s3cret", "http://127.0.0.1:9/base"),
    ("http://127.0.0.1:9/#token=s3cret", "http://127.0.0.1:9/"),
    ("postgresql+psycopg://user:s3cret@127.0.0.1:9/db", "postgresql+psycopg://127.0.0.1:9/db"),
    ("mysql+pymysql://user:s3cret@[::1]:9/db?password=s3cret", "mysql+pymysql://[::1]:9/db"),
    ("sqlite:////folder/mlflow.db?password=s3cret", "sqlite:////folder/mlflow.db"),
    ("s3://key:s3cret@bucket/path", "s3://bucket/path"),
    ("url: /?token=s3cret/api/2.0 (refused)", "url: / (refused)"),
    ("cannot reach http://user:s3cret@host:9, nor (http://a:s3cret@b)", None),
    ("user:s3cret@127.0.0.1:9", "127.0.0.1:9"),
    ("http:/user:s3cret@127.0.0.1:9", None),
    ("invalid dsn: host=127.0.0.1 password=s3cret port=9", None),
]
UNTOUCHED = [
    "sqlite:///mlflow.db",
    "http://127.0.0.1:5000",
    "the run has no weights; is it a kdflow teacher?",
    "models:/kdflow-student-digits@champion",
    "--teacher models:/a@b: no such version or alias",
    "mlflow-artifacts:/1/abc/artifacts",
    "/home/me/100%/mlruns",
]


@pytest.mark.parametrize(("text", "shown"), ADDRESSES, ids=[text for text, _ in ADDRESSES])
def test_no_secret_is_left_in_a_redacted_text(text: str, shown: str | None) -> None:
    from kdflow.common.text import redact

    redacted = redact(text)
    assert not any(part in redacted for part in (SECRET, "s3", "cret")) or text.startswith("s3:"), redacted
    assert shown in (None, redacted)
    assert redact(redacted) == redacted


@pytest.mark.parametrize("text", UNTOUCHED)
def test_a_text_without_secrets_is_redacted_to_itself(text: str) -> None:
    from kdflow.common.text import redact

    assert redact(text) == text


def kdflow(folder: Path, *arguments: str, store: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a folder that also takes its temporary and cached files."""
    own = {"MLFLOW_TRACKING_URI": store, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "TMPDIR": str(folder)}
    everything = ENVIRONMENT | own | environment | {"XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "kdflow", *arguments],
        cwd=folder,
        env=everything,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def places_of(secret: str, folder: Path) -> list[str]:
    """The files below a folder, databases included, that hold a secret in their content or name."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if secret.encode() in path.read_bytes() or secret in str(path)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "store",
    [
        "http://user:s3cret@127.0.0.1:9",
        "http://127.0.0.1:9?token=s3cret",
        "postgresql://user:s3cret@127.0.0.1:9/db?password=s3cret",
        "sqlite:////dev/null/mlflow.db?password=s3cret",
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_a_store_that_cannot_be_reached_ends_with_4_and_keeps_its_password(
    store: str, debug: bool, tmp_path: Path
) -> None:
    done = kdflow(tmp_path, *["--debug"] * debug, "teacher", *SHORT, store=store)
    assert SECRET not in done.stdout + done.stderr
    assert places_of(SECRET, tmp_path) == []
    if not debug:
        assert done.returncode == 4, done.stderr
        assert done.stderr.startswith("kdflow: error: "), done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address, password included, of a tracking server that asks for none."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host=127.0.0.1", f"--port={port}", "--workers=1"]
    command += [f"--backend-store-uri=sqlite:///{folder}/mlflow.db", f"--artifacts-destination={folder}/artifacts"]
    with running(command, port, folder, {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}):
        yield f"http://user:{SECRET}@127.0.0.1:{port}"


@pytest.mark.slow
def test_runs_on_a_server_with_a_password_hold_it_nowhere(
    server: str, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    small = ["--dataset", "digits", "--teacher-model", "small-cnn", "--teacher-epochs", "1", "--student-epochs", "1"]
    done = kdflow(tmp_path, "study", *small, "--alphas", "1,0", "--threads", "1", "--device", "cpu", store=server)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert places_of(SECRET, tmp_path) == []
    stored = next(tmp_path_factory.getbasetemp().glob("server*"))
    assert (stored / "mlflow.db").exists()
    assert [place for place in places_of(SECRET, stored) if not place.endswith("output.txt")] == []


@pytest.mark.slow
def test_a_teacher_whose_weights_were_exchanged_is_one_line_and_runs_no_code(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    trained = kdflow(tmp_path, "teacher", "--model", "small-cnn", *SHORT, store=store)
    assert trained.returncode == 0, trained.stderr
    (artifacts,) = (path.parent for path in (tmp_path / "mlruns").rglob("weights.pt"))
    in_a_zip(artifacts / "weights.pt", Hostile(tmp_path / "marker"))
    card = json.loads((artifacts / "card.json").read_text())
    (artifacts / "card.json").write_text(json.dumps(card | {"sha256": sha256(artifacts / "weights.pt")}))
    run_id = artifacts.parent.parent.name
    for reference in (run_id, "models:/kdflow-teacher-digits@champion", ""):
        done = kdflow(tmp_path, "student", "--alpha", "0", "--teacher", reference, *SHORT, store=store)
        assert done.returncode == 3, done.stderr
        assert done.stderr.startswith("kdflow: error: --teacher "), done.stderr
        assert "weights.pt holds no tensors that can be read" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "marker").exists()
    assert os.listdir(tmp_path)  # the folder is there: the marker could have been made
