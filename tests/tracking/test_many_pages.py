"""Runs that fill several pages of a search are all read, once, and the search leaves Python as it was."""

import gc
from pathlib import Path

import pytest

from kdflow.tracking import store_runs
from kdflow.tracking.record import Record

PAGES, PAGE = 3, 2


@pytest.fixture(scope="module")
def written(own_store: Path) -> list[str]:
    """The runs of a store, the oldest first."""
    from mlflow import MlflowClient

    client = MlflowClient()
    ids = []
    for number in range(PAGES * PAGE):
        run = client.create_run("0", start_time=1 + number, tags={"kdflow.role": "student", "kdflow.data": "digits"})
        client.log_param(run.info.run_id, "model", "small-cnn")
        ids.append(run.info.run_id)
    return ids


@pytest.fixture
def found(written: list[str], monkeypatch: pytest.MonkeyPatch) -> list[Record]:
    monkeypatch.setattr(store_runs, "PAGE", PAGE)
    return store_runs.StoreRuns().runs("student")


def test_all_pages_are_read_newest_first(found: list[Record], written: list[str]) -> None:
    assert [record.run_id for record in found] == written[::-1]


def test_a_text_that_runs_share_is_there_once(found: list[Record]) -> None:
    assert len({id(record.params["model"]) for record in found}) == 1
    assert len({id(record.tags["kdflow.data"]) for record in found}) == 1


def test_garbage_is_collected_again_afterwards_also_after_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    from kdflow.common.errors import TrackingError

    def fail(*_: object) -> None:
        assert not gc.isenabled()
        raise OSError("away")

    monkeypatch.setattr(store_runs, "all_experiment_ids", fail)
    with pytest.raises(TrackingError):
        store_runs.StoreRuns().runs("student")
    assert gc.isenabled()
