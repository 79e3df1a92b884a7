"""A sqlite store that another process holds, that is damaged or of another MLflow.

Not covered: network file systems, on which sqlite locks differ.
"""

import shutil
import sqlite3
import threading
import time
from contextlib import closing

import pytest

from kdflow.common.errors import TrackingError
from tests.commands import TEACHER, Command, run


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """A sqlite store without runs: to make one takes seconds, to copy it none."""
    from mlflow import MlflowClient

    file = tmp_path_factory.mktemp("fresh") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}").search_experiments(max_results=1)
    return file


@pytest.fixture
def store(fresh, tmp_path, monkeypatch):
    """A store of its own; the working directory is where it is."""
    shutil.copy(fresh, tmp_path / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    return tmp_path / "mlflow.db"


class Held:
    """Keeps everyone else from a sqlite file, from now on for some seconds."""

    def __init__(self, store, seconds):
        self._connection = sqlite3.connect(store, timeout=60, check_same_thread=False, isolation_level=None)
        self._connection.execute("BEGIN EXCLUSIVE")
        self._timer = threading.Timer(seconds, self._connection.rollback)
        self._timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._timer.join()
        self._connection.close()


def assert_complete(folder, epochs):
    """The one run of a folder is in the store as a whole."""
    from mlflow import MlflowClient

    from kdflow.journal.journal import Journal

    (journal,) = Journal.every(folder / "runs")
    assert journal.pending == 0
    stored = MlflowClient().get_run(journal.id)
    assert stored.info.status == "FINISHED"
    steps = [metric.step for metric in MlflowClient().get_metric_history(journal.id, "train/loss")]
    assert steps == [*range(1, epochs + 1)]
    assert len(MlflowClient().search_model_versions(f"run_id = '{journal.id}'")) == 1


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize("moment", ["start", "middle", "end"])
def test_a_store_that_is_locked_for_five_seconds_is_waited_for(store, tmp_path, record_property, moment):
    command = Command.start(*TEACHER, "--epochs", "4", folder=tmp_path, store=f"sqlite:///{store}")
    if moment != "start":
        command.wait_for("epoch 2/4" if moment == "middle" else "epoch 4/4")
    record_property("faults", 1)
    with Held(store, 5 if moment != "start" else 12):  # most of the start is imports
        assert command.end() == 0, command.text
    assert command.text.count("Warning") <= 1
    assert command.longest_epoch() < 9
    assert_complete(tmp_path, 4)


@pytest.mark.fault
@pytest.mark.slow
def test_a_store_that_is_locked_for_a_minute_holds_no_epoch_up_for_long_and_is_told_afterwards(
    store, tmp_path, record_property
):
    command = Command.start(*TEACHER, "--epochs", "90", folder=tmp_path, store=f"sqlite:///{store}")
    command.wait_for("epoch 2/90")
    record_property("faults", 1)
    with Held(store, 60):
        code = command.end()
    print(f"longest epoch: {command.longest_epoch():.1f} s")
    assert command.text.count("Warning") == 1
    assert command.longest_epoch() < 9
    if code:  # a quick machine: the lock outlasted what the end waits
        assert code == 4
        assert run("sync", folder=tmp_path, store=f"sqlite:///{store}")[0] == 0
    assert_complete(tmp_path, 90)


@pytest.mark.fault
@pytest.mark.slow
def test_a_store_that_stays_locked_at_the_start_is_one_line_and_leaves_nothing(store, tmp_path, record_property):
    record_property("faults", 1)
    with Held(store, 60):
        began = time.monotonic()
        code, said = run(*TEACHER, "--epochs", "1", folder=tmp_path, store=f"sqlite:///{store}")
        print(f"{time.monotonic() - began:.1f} s")
        assert time.monotonic() - began < 50
    assert (code, len(said.splitlines())) == (4, 1)
    assert all(words in said for words in ("locked", "--offline"))
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())


def newer(store):
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'f00dfeedbeef'")
        connection.commit()


def older(store):
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        connection.commit()


def cut(store):
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def scribbled(store):
    content = bytearray(store.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    store.write_bytes(content)


def a_text(store):
    store.write_text("this is no database, but long enough to have the header of one\n" * 40)


@pytest.mark.fault
@pytest.mark.parametrize("damage", [newer, older, cut, scribbled, a_text])
def test_a_store_that_is_damaged_or_of_another_mlflow_is_one_line_and_untouched(store, record_property, damage):
    from kdflow.tracking.checks import require_store

    damage(store)
    before = store.read_bytes()
    record_property("faults", 1)
    with pytest.raises(TrackingError) as caught:
        require_store()
    print(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in str(caught.value)
    assert str(store) in str(caught.value)
    assert "--offline" in str(caught.value)
    assert store.read_bytes() == before
    assert [path.name for path in store.parent.iterdir()] == [store.name]
