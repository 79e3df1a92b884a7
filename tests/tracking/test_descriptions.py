"""Descriptions reach the store once, leave what users wrote, and stop nothing where the store will not have them."""

import os
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import RestException

from kdflow.journal.journal import Journal
from kdflow.tracking import descriptions
from kdflow.tracking.descriptions import ADDRESS, EXPERIMENT, LONGEST, NOTE, RUN, shortened
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run


@pytest.fixture
def told(own_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Outbox:
    """The outbox of a command in an experiment of its own."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return Outbox(Journal.begin(tmp_path, "teacher", {"store": os.environ["MLFLOW_TRACKING_URI"]}))


def note(run: Run) -> str:
    return str(MlflowClient().get_run(run.id).data.tags[NOTE])


def of_experiment(run: Run) -> str:
    client = MlflowClient()
    return str(client.get_experiment(client.get_run(run.id).info.experiment_id).tags.get(NOTE))


def test_a_run_and_its_experiment_are_described_and_the_last_text_counts(told: Outbox) -> None:
    with Run(told, "teacher", "teacher") as run:
        run.describe({EXPERIMENT: "All of them.", RUN: "First."})
        run.describe({RUN: "First."})
        run.describe({RUN: "Second."})
    assert (note(run), of_experiment(run)) == ("Second.", "All of them.")
    assert len(told.journal.of(run.key, "describe")) == 2, "what is said already is not said again"


def test_what_a_user_wrote_of_an_experiment_stays(told: Outbox) -> None:
    client = MlflowClient()
    mine = client.create_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"], tags={NOTE: "Mine."})
    with Run(told, "teacher", "teacher") as run:
        run.describe({EXPERIMENT: "All of them."})
    assert client.get_experiment(mine).tags[NOTE] == "Mine."


@pytest.mark.fault
def test_a_store_that_refuses_descriptions_is_warned_of_and_gets_all_the_rest(
    told: Outbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise RestException({"error_code": "PERMISSION_DENIED", "message": "not yours"})

    monkeypatch.setitem(descriptions._DESCRIBE, EXPERIMENT, refuse)
    with Run(told, "teacher", "teacher") as run:
        run.describe({EXPERIMENT: "All of them.", RUN: "It."})
        run.params({"epochs": 1})
    told.require_told()
    assert (note(run), of_experiment(run)) == ("It.", "None")
    assert MlflowClient().get_run(run.id).data.params == {"epochs": "1"}
    assert "does not take the description of the experiment" in capsys.readouterr().out


def test_a_text_that_names_a_version_waits_for_it(told: Outbox) -> None:
    run = Run(told, "teacher", "teacher")
    run.describe({RUN: f"Load {ADDRESS}."})
    assert (told.journal.untold, len(told.journal.refused)) == (0, 1)
    told.journal.addresses[run.key] = "models:/kdflow-teacher-digits/7"
    told.require_told()
    assert note(run) == "Load models:/kdflow-teacher-digits/7."


def test_a_text_names_runs_by_the_ids_that_the_store_gave_them(told: Outbox) -> None:
    teacher = Run(told, "teacher", "teacher")
    with Run(told, "student", "student", parent=teacher, signature="a" * 64) as run:
        run.describe({RUN: f"Taught by {teacher.key}."}, teacher=teacher.key)
    assert note(run) == f"Taught by {teacher.id}."


def test_long_texts_are_cut_at_a_line_to_what_every_database_takes() -> None:
    assert shortened("short") == "short"
    cut = shortened("\n".join(["a line of a table"] * 1000))
    assert len(cut) <= LONGEST
    assert cut.endswith("a line of a table\n…")
