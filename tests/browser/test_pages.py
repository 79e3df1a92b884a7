"""What a reader sees, in a real browser: the report, the page of a run, the page of a registered model.

Chromium draws them without a window; where there is none, nothing is tested. What the pages look like is not covered.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Without these it asks for hosts of its maker at every start.
QUIET = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
PATIENCE = 120  # seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs chromium"),
]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the store and the report of a small study of two seeds."""
    folder = tmp_path_factory.mktemp("study")
    small = "--dataset digits --seeds 0-1 --alphas 1,0.5 --teacher-epochs 2 --student-epochs 2"
    for command in (f"study {small}", "report --output report"):
        kdflow(folder, command)
    return folder


def kdflow(folder: Path, command: str) -> None:
    environment = os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    subprocess.run([sys.executable, "-m", "kdflow", *command.split()], cwd=folder, env=environment, check=True)


@pytest.fixture(scope="module")
def server(study: Path) -> Iterator[str]:
    """The address of MLflow over that store."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    asked = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    asked += ["--backend-store-uri", f"sqlite:///{study / 'mlflow.db'}"]
    environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with subprocess.Popen(asked, cwd=study, env=environment) as process:
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(f"{address}/health")
            yield address
        finally:
            process.terminate()


def wait_for(address: str) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(1)
    pytest.fail(f"{address} does not answer")


@pytest.fixture
def drawn(tmp_path: Path) -> Callable[[str], str]:
    """Gives what a page holds once the browser has drawn it."""

    def draw(address: str) -> str:
        flags = f"--headless --no-sandbox --disable-gpu {QUIET} --user-data-dir={tmp_path} --virtual-time-budget=20000"
        asked = [str(BROWSER), *flags.split(), "--window-size=1280,1600", "--dump-dom", address]
        return subprocess.run(asked, capture_output=True, text=True, timeout=PATIENCE, check=True).stdout

    return draw


def test_the_report_is_drawn_with_its_answer_and_its_figures(study: Path, drawn: Callable[[str], str]) -> None:
    page = drawn((study / "report" / "report.html").as_uri())
    assert "of test accuracy" in page
    assert page.count("<svg") >= 5
    assert "How it was made" in page


def test_the_page_of_the_study_shows_its_answer(study: Path, server: str, drawn: Callable[[str], str]) -> None:
    run = found(study, "tags.`kdflow.role` = 'study'")
    page = drawn(
        f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?workflowType=machine_learning"
    )
    assert run.info.run_name in page
    assert "alpha = 1" in page


def test_the_page_of_a_registered_version_says_how_to_load_it(
    study: Path, server: str, drawn: Callable[[str], str]
) -> None:
    page = drawn(f"{server}/#/models/kdflow-student-digits/versions/1?workflowType=machine_learning")
    assert "load_model" in page


def found(study: Path, condition: str):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{study / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("kdflow")
    return client.search_runs([experiment.experiment_id], condition)[0]
