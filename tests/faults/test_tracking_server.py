"""A server over PostgreSQL, as `make server` starts it: eight processes log at once, and it or its database goes away.

Not covered: a database on another machine, whose network may fall silent.
"""

import os
import time
from collections import Counter
from multiprocessing import get_context

import pytest

from tests import servers

pytestmark = pytest.mark.slow

EIGHT = 8
EPOCHS = 30
METRICS = ("train/loss", "val/loss", "val/accuracy")


@pytest.fixture(scope="module")
def database():
    with servers.short_folder() as folder:
        database = servers.Database(folder / "postgres")
        database.start()
        yield database
        database.stop()


@pytest.fixture(scope="module")
def server(database, tmp_path_factory):
    server = servers.Server(tmp_path_factory.mktemp("server"), database.address)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def store(server, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    return server.address


def log_a_run(store: str, runs_dir: str, number: int) -> None:
    """What a training tells, but for the training."""
    from kdflow.common.errors import TrackingError
    from kdflow.config import KeepingConfig
    from kdflow.experiments.session import begun
    from kdflow.tracking.run import Run
    from kdflow.tracking.surroundings import Surroundings

    os.environ["MLFLOW_TRACKING_URI"] = store
    keeping, signature = KeepingConfig(runs_dir=runs_dir), f"{number:064x}"
    try:
        with (
            begun("student", keeping, {}, Surroundings(), known_by=signature) as outbox,
            Run(outbox, "student", f"student {number}", signature=signature) as run,
        ):
            run.params({"seed": number, "lr": 0.05})
            for epoch in range(1, EPOCHS + 1):
                time.sleep(0.25)
                run.metrics(dict.fromkeys(METRICS, number + epoch / EPOCHS), step=epoch)
            run.text("{}", "environment.json")
    except TrackingError as error:  # `kdflow sync` tells the rest
        print(number, error)


@pytest.mark.fault
@pytest.mark.parametrize("fault", ["nothing", "the server is killed", "the database is stopped"])
def test_eight_processes_log_at_once_and_nothing_is_lost_or_there_twice(
    fault, store, server, database, tmp_path, record_property
):
    from mlflow import MlflowClient

    from kdflow.config import SyncConfig
    from kdflow.experiments.sync import run_sync
    from kdflow.journal.journal import Journal

    client = MlflowClient()
    before = len(every_run(client))
    processes = get_context("forkserver")
    processes.set_forkserver_preload(["kdflow.experiments.session"])  # the imports of eight would take a minute
    crowd = [processes.Process(target=log_a_run, args=(store, str(tmp_path), number)) for number in range(EIGHT)]
    for one in crowd:
        one.start()
    while len(every_run(client)) < before + EIGHT:
        assert all(one.is_alive() for one in crowd)
        time.sleep(0.2)
    began = time.monotonic()
    if fault == "the server is killed":
        server.kill()
        server.start()
    elif fault == "the database is stopped":
        database.stop()
        time.sleep(4)
        database.start()
    record_property("faults", int(fault != "nothing"))
    for one in crowd:
        one.join(90)
        assert one.exitcode == 0
    print(f"{time.monotonic() - began:.1f} s")
    run_sync(SyncConfig(str(tmp_path)))
    journals = list(Journal.every(tmp_path))
    assert [journal.pending for journal in journals] == [0] * EIGHT
    runs = every_run(client)
    assert len(runs) == before + EIGHT
    keys = Counter(run.data.tags["kdflow.key"] for run in runs)
    assert set(keys.values()) == {1}
    for journal in journals:
        run = client.get_run(journal.id)
        assert run.info.status == "FINISHED"
        assert run.data.params["lr"] == "0.05"
        for name in METRICS:
            told = {one.step: one.value for one in client.get_metric_history(journal.id, name)}
            assert told == journal.metrics(journal.key)[name]
            assert [one.step for one in client.get_metric_history(journal.id, name)] == [*range(1, EPOCHS + 1)]
        assert [file.path for file in client.list_artifacts(journal.id)] == ["environment.json"]


def every_run(client):
    return client.search_runs([one.experiment_id for one in client.search_experiments()])
