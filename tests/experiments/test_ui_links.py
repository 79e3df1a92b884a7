"""Printed links open in a browser, in the view in which runs are, and hold no password. That they do was looked at."""

from pathlib import Path

import mlflow
import pytest

from kdflow.experiments import ui_links
from kdflow.tracking.links import ui_address
from kdflow.tracking.store_runs import StoreRuns

VIEW = "workflowType=machine_learning"


@pytest.fixture(autouse=True)
def _no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KDFLOW_UI_URL", raising=False)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> mlflow.MlflowClient:
    """A store with runs of kdflow in one of its experiments, and others' runs in another."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client = mlflow.MlflowClient()
    for name, tags in (("ours", {"kdflow.role": "study"}), ("theirs", {"role": "study"})):
        client.create_run(client.create_experiment(name), tags=tags, run_name="study digits seed 0")
    return client


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://user:s3cret@127.0.0.1:9", "http://127.0.0.1:9"),
        ("https://user:s3cr@et@127.0.0.1:9/path/", "https://127.0.0.1:9/path"),
        ("http://127.0.0.1:9?token=s3cret", "http://127.0.0.1:9"),
        ("http://127.0.0.1:9", "http://127.0.0.1:9"),
    ],
)
@pytest.mark.parametrize("variable", ["MLFLOW_TRACKING_URI", "KDFLOW_UI_URL"])
def test_a_server_that_does_not_answer_is_named_all_the_same_and_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str, address: str, shown: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv(variable, address)
    ui_links.tell()
    assert capsys.readouterr().out == f"Experiments: {shown}/#/experiments?{VIEW}\n"


def test_each_experiment_with_runs_of_kdflow_has_a_link_and_so_has_its_newest_study(
    store: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KDFLOW_UI_URL", "http://127.0.0.1:5055")
    ours = store.get_experiment_by_name("ours")
    assert ours
    later = store.create_run(ours.experiment_id, tags={"kdflow.role": "study"}, run_name="study digits seeds 0-4")
    store.create_run(ours.experiment_id, tags={"kdflow.role": "student"}, run_name="student")
    ui_links.tell()
    page = f"http://127.0.0.1:5055/#/experiments/{ours.experiment_id}/runs"
    study = f"Newest study in ours, study digits seeds 0-4: {page}/{later.info.run_id}?{VIEW}"
    assert capsys.readouterr().out == f"Experiment ours: {page}?{VIEW}\n{study}\n"


def test_a_store_that_is_not_there_yet_is_not_made_for_its_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    ui_links.tell()
    assert VIEW in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_where_a_browser_needs_another_address_than_kdflow_links_have_that(
    store: mlflow.MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    (experiment,) = [one.experiment_id for one in store.search_experiments() if one.name == "ours"]
    (run,) = store.search_runs([experiment])
    assert "make ui" in StoreRuns().comparison_page([run.info.run_id])
    monkeypatch.setenv("KDFLOW_UI_URL", "https://mlflow.example/prefix/")
    page = StoreRuns().comparison_page([run.info.run_id])
    assert page.startswith("https://mlflow.example/prefix/#/compare-runs?runs=%5B%22")
    assert page.endswith(f"&{VIEW}")
    assert ui_address() == "https://mlflow.example/prefix"
