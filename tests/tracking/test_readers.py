"""The contract of those who read runs: what both the store and the journals must answer to the same questions."""

from pathlib import Path
from typing import Any

import pytest

from kdflow.common.errors import TeacherError
from kdflow.config import SyncConfig
from kdflow.data import Dataset
from kdflow.evaluation.predictions import PREDICTIONS, Predictions
from kdflow.journal.journal import Journal
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from tests.conftest import CLASSES
from tests.interruptions import SMALL, after_epoch, interrupted

MODEL = "models:/kdflow-student-colours"


@pytest.fixture(scope="module")
def told(data: Dataset, tmp_path_factory: pytest.TempPathFactory):
    """The folder and results of a study and of a student that was stopped; a store was told of both."""
    from kdflow.experiments import session
    from kdflow.experiments.commands import run_student
    from kdflow.experiments.study import run_study
    from kdflow.experiments.sync import run_sync
    from tests.experiments.conftest import student_config, study_config

    folder = tmp_path_factory.mktemp("told")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        patch.setattr(session, "load", lambda config: data)
        settings = {"teacher_epochs": 2, "student_batch_size": 16, "alphas": (1.0, 0.0)}
        run_study(study_config(**settings, offline=True))
        run_sync(SyncConfig("runs"))
        interrupted(lambda: run_student(student_config(**SMALL)), after_epoch(1), interrupt)
        (journal, stopped) = Journal.every(Path("runs"))
        yield folder, journal, stopped


def interrupt() -> None:
    raise KeyboardInterrupt


@pytest.fixture(params=["store", "journals"])
def reader(request: pytest.FixtureRequest, told: Any) -> Runs:
    from kdflow.tracking.journal_runs import JournalRuns
    from kdflow.tracking.store_runs import StoreRuns

    return StoreRuns() if request.param == "store" else JournalRuns(told[0] / "runs")


def students(reader: Runs) -> list[Record]:
    return [record for record in reader.runs("student") if record.status == "FINISHED"]


def test_runs_are_found_by_role_newest_first(reader: Runs) -> None:
    found = reader.runs("teacher", "student")
    assert sorted(record.tags["kdflow.role"] for record in found) == ["student", "student", "student", "teacher"]
    assert [record.started for record in found] == sorted((record.started for record in found), reverse=True)
    assert [record.status for record in found] == ["KILLED", "FINISHED", "FINISHED", "FINISHED"]
    assert reader.deleted("teacher", "student") == 0
    assert [record.tags["kdflow.role"] for record in reader.runs("study")] == ["study"]
    assert reader.runs("nobody") == []


def test_a_record_holds_params_as_texts_last_metrics_tags_and_the_epochs_that_were_logged(reader: Runs) -> None:
    (teacher,) = reader.runs("teacher")
    assert (teacher.params["lr"], teacher.params["epochs"], teacher.trained) == ("0.1", "2", 2)
    assert 0 <= teacher.metrics["final/test_accuracy"] <= 1
    assert len(teacher.tags["kdflow.signature"]) == 64
    assert reader.record(teacher.run_id) == teacher
    taught = [record for record in students(reader) if record.params["alpha"] == "0"]
    assert [record.tags["kdflow.teacher_run_id"] for record in taught] == [teacher.run_id]


def test_a_history_has_a_value_for_each_epoch(reader: Runs) -> None:
    (teacher,) = reader.runs("teacher")
    history = reader.history(teacher.run_id, ["train/loss", "val/accuracy"])
    assert {name: len(values) for name, values in history.items()} == {"train/loss": 2, "val/accuracy": 2}
    assert history["val/accuracy"][-1] == teacher.metrics["val/accuracy"]


def test_weights_are_given_with_their_card(reader: Runs) -> None:
    from kdflow.models.weights import read_card, read_weights

    (teacher,) = reader.runs("teacher")
    with reader.weights_of(teacher.run_id) as folder:
        assert read_card(folder)["role"] == "teacher"
        assert read_weights(folder)


@pytest.mark.parametrize("form", ["{id}", "{id:.8}", "runs:/{id}/model", "{address}", "{name}", "{name}@champion"])
def test_a_run_is_found_by_each_kind_of_reference(reader: Runs, form: str) -> None:
    (teacher,) = reader.runs("teacher")
    address = reader.address(teacher.run_id)
    assert address == "models:/kdflow-teacher-colours-31fd8b19/1" or address.startswith(
        "models:/kdflow-teacher-colours"
    )
    text = form.format(id=teacher.run_id, address=address, name=address.rpartition("/")[0])
    assert reader.resolve_run(text) == teacher.run_id


def test_a_run_is_found_by_the_key_that_it_had_before_the_store_knew_it(reader: Runs, told: Any) -> None:
    (key,) = [entry["run"] for entry in told[1].entries if entry["kind"] == "create" and "/teacher-" in entry["run"]]
    (teacher,) = reader.runs("teacher")
    assert reader.resolve_run(key) == teacher.run_id


@pytest.mark.parametrize("text", ["0" * 32, "models:/nothing/1", "models:/nothing@champion", "ab", "models:/"])
def test_what_is_not_there_is_refused_in_one_line_that_names_it(reader: Runs, text: str) -> None:
    with pytest.raises(TeacherError) as refused:
        reader.resolve_run(text)
    assert str(refused.value).startswith(f"--teacher {text}: ")
    assert len(str(refused.value).splitlines()) == 1


def test_a_run_that_did_not_finish_is_refused_with_its_status(reader: Runs, told: Any) -> None:
    with pytest.raises(TeacherError, match="KILLED, not FINISHED"):
        reader.resolve_run(told[2].id)


def test_both_tell_the_same_of_the_same_runs(told: Any) -> None:
    from kdflow.tracking.journal_runs import JournalRuns
    from kdflow.tracking.store_runs import StoreRuns

    readers: tuple[Runs, Runs] = (StoreRuns(), JournalRuns(told[0] / "runs"))
    stored, kept = ({record.run_id: record for record in one.runs("teacher", "student")} for one in readers)
    assert stored.keys() == kept.keys()
    for run_id, record in stored.items():
        other = kept[run_id]
        assert (record.status, record.params, record.metrics) == (other.status, other.params, other.metrics)
        assert other.tags.items() <= record.tags.items(), "MLflow adds tags of its own"
        names = [name for name in record.metrics if name.startswith(("train/", "val/"))]
        assert readers[0].history(run_id, names) == readers[1].history(run_id, names)


def test_a_file_of_a_run_is_read_and_one_that_is_not_there_is_none(reader: Runs) -> None:
    (teacher,) = reader.runs("teacher")
    content = reader.artifact(teacher.run_id, PREDICTIONS)
    assert content is not None
    assert Predictions.from_bytes(content).classes == CLASSES
    assert reader.artifact(teacher.run_id, "nothing.txt") is None


def test_a_run_knows_how_many_images_it_saw(reader: Runs) -> None:
    (teacher,) = reader.runs("teacher")
    assert reader.images(teacher.run_id) == {"train": 64, "validation": 16, "test": 16}


def test_a_finished_run_ended_after_it_began(reader: Runs) -> None:
    (teacher,) = reader.runs("teacher")
    assert 0 < teacher.started <= teacher.ended


def test_a_run_has_a_page_where_a_server_is_known(reader: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    (teacher,) = reader.runs("teacher")
    assert reader.run_page(teacher.run_id) == ""
    monkeypatch.setenv("KDFLOW_UI_URL", "http://127.0.0.1:5000")
    page = reader.run_page(teacher.run_id)
    assert page == "" or (page.startswith("http://127.0.0.1:5000/#/") and teacher.run_id in page)
