"""What a command tells the store: in order, once, and later where it cannot be told now.

Real servers that die are in tests/faults/test_outages.py, locked files in tests/faults/test_stores.py.
"""

import os
import sqlite3
import time
from contextlib import closing, contextmanager

import pytest

from kdflow.common.errors import TrackingError
from kdflow.journal.journal import Journal
from kdflow.tracking import outbox
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.run import Run
from tests.experiments.conftest import teacher_config


@pytest.fixture(scope="module")
def store(own_store):
    return own_store


@pytest.fixture
def quick(monkeypatch):
    """Nothing is waited for longer than a moment."""
    monkeypatch.setattr(outbox, "EPOCH_PATIENCE", 0.2)
    monkeypatch.setattr(outbox, "PAUSE", 0.0)
    monkeypatch.setattr(outbox, "BREATH", 0.01)


@pytest.fixture
def begun(store, tmp_path):
    """`begun(offline=False)`: the outbox of a new command."""

    def begin(*, offline=False):
        return Outbox(Journal.begin(tmp_path, "teacher", {"store": os.environ["MLFLOW_TRACKING_URI"]}), offline=offline)

    return begin


@contextmanager
def held(store):
    """Keeps everyone else from the store."""
    with closing(sqlite3.connect(store / "mlflow.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield


def stored(run_id):
    from mlflow import MlflowClient

    return MlflowClient().get_run(run_id)


def everything(run_id):
    """All that the store says of a run, as far as it is told."""
    from mlflow import MlflowClient

    run, client = stored(run_id), MlflowClient()
    metrics = {name: client.get_metric_history(run_id, name) for name in run.data.metrics}
    logged = {name: [(one.step, str(one.value), one.timestamp) for one in values] for name, values in metrics.items()}
    artifacts = sorted(one.path for one in client.list_artifacts(run_id))
    return run.info, run.data.tags, run.data.params, logged, artifacts


def log_much(told):
    with Run(told, "teacher", "teacher") as run:
        run.params({"epochs": 2, "lr": 0.5})
        for epoch in (1, 2):
            run.metrics({"train/loss": 1.0 / epoch, "val/accuracy": float("nan")}, step=epoch)
        run.text("much", "note.txt")
    return run


def test_an_entry_told_twice_has_the_effect_of_told_once(begun):
    told = begun()
    run = log_much(told)
    before = everything(run.id)
    (told.journal.folder / "delivered.json").unlink()
    again = Outbox(Journal(told.journal.folder))
    assert again.journal.pending == len(again.journal.entries)
    again.require_told()
    assert again.journal.ids == told.journal.ids
    assert everything(run.id) == before


@pytest.mark.parametrize("broken_off", range(1, 7))
def test_telling_goes_on_after_any_entry_at_which_it_broke_off(begun, broken_off):
    told = begun(offline=True)
    run = log_much(told)
    told.offline = False
    for _ in range(broken_off):
        told._tell_one()
    told.journal.delivered -= 1  # told, but its note was lost
    told.require_told()
    _, _, params, metrics, artifacts = everything(run.id)
    assert params == {"epochs": "2", "lr": "0.5"}
    assert [(step, value) for step, value, _ in metrics["train/loss"]] == [(1, "1.0"), (2, "0.5")]
    assert (len(metrics["val/accuracy"]), artifacts) == (2, ["note.txt"])


@pytest.mark.fault
def test_a_locked_store_is_warned_of_once_and_told_when_it_is_free(store, begun, quick, capsys, record_property):
    told = begun()
    run = Run(told, "teacher", "teacher")
    with held(store):
        for epoch in (1, 2, 3):
            run.metrics({"train/loss": 1.0}, step=epoch)
        assert told.in_trouble
    run.close("FINISHED")
    record_property("faults", 1)
    assert not told.in_trouble
    said = capsys.readouterr().out
    assert said.count("Warning") == said.count("can be used again") == 1
    assert [step for step, *_ in everything(run.id)[3]["train/loss"]] == [1, 2, 3]


@pytest.mark.fault
def test_between_two_attempts_epochs_wait_for_nothing(store, begun, quick, monkeypatch, record_property):
    monkeypatch.setattr(outbox, "PAUSE", 60.0)
    told = begun()
    run = Run(told, "teacher", "teacher")
    with held(store):
        run.metrics({"train/loss": 1.0}, step=1)
        began = time.monotonic()
        for epoch in range(2, 12):
            run.metrics({"train/loss": 1.0}, step=epoch)
        assert time.monotonic() - began < 0.2
    record_property("faults", 1)
    told.require_told()
    assert told.journal.pending == 0


@pytest.mark.fault
def test_a_store_that_is_away_to_the_end_is_an_error_that_names_sync_and_is_waited_for_once(
    begun, quick, monkeypatch, record_property
):
    told = begun()
    run = Run(told, "teacher", "teacher")
    monkeypatch.setattr(outbox, "deliver", lambda *_: (_ for _ in ()).throw(ConnectionError("no one there")))
    run.close("FINISHED")
    told._end_patience = 0.3
    record_property("faults", 1)
    with pytest.raises(TrackingError, match=r"no one there.*nothing is lost.*kdflow sync") as caught:
        told.require_told()
    assert caught.value.exit_code == 4
    began = time.monotonic()
    assert not told.settle()
    assert time.monotonic() - began < 0.1


@pytest.mark.fault
def test_a_server_that_cannot_be_reached_at_the_start_is_an_error_at_once_that_leaves_nothing(
    store, tmp_path, monkeypatch, record_property
):
    from kdflow.experiments.commands import run_teacher

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    record_property("faults", 1)
    began = time.monotonic()
    with pytest.raises(TrackingError, match=r"Connection refused.*--offline") as caught:
        run_teacher(teacher_config(runs_dir=str(tmp_path)))
    assert time.monotonic() - began < 5
    assert caught.value.exit_code == 4
    assert not any(tmp_path.iterdir())


def test_offline_nothing_is_told_and_the_run_goes_by_its_key(begun, monkeypatch):
    monkeypatch.setattr(outbox, "deliver", lambda *_: pytest.fail("the store was told"))
    told = begun(offline=True)
    run = log_much(told)
    told.require_told()
    assert run.id == told.journal.key
    assert told.journal.pending == len(told.journal.entries)
