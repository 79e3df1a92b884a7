"""Many processes at one store, many runs in it, and runs with names that mean harm."""

import sqlite3
import time
import uuid
from contextlib import closing

import pytest

from tests.commands import STUDENT, Command

FOUR = 4
EPOCHS = 2
DATA = {"kdflow.data": "digits", "kdflow.data_digest": "d" * 32, "kdflow.split_digest": "s" * 32}
FINAL = ("final/train_accuracy", "final/val_accuracy", "final/test_accuracy", "final/test_loss")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working directory with no store yet, or with that of the tests before."""
    return tmp_path_factory.mktemp("crowd")


def assert_crowd_is_complete(folder, runs):
    """All runs are finished and whole, each is registered once, and the best of them is champion."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name("kdflow").experiment_id], "tags.kdflow.role = 'student'")
    assert [one.info.status for one in found] == ["FINISHED"] * runs
    for one in found:
        steps = [metric.step for metric in client.get_metric_history(one.info.run_id, "val/accuracy")]
        assert steps == [*range(1, EPOCHS + 1)]
        assert set(FINAL) <= one.data.metrics.keys()
    versions = client.search_model_versions("name = 'kdflow-student-digits'")
    assert {int(one.version) for one in versions} == set(range(1, runs + 1))
    assert {one.run_id for one in versions} == {one.info.run_id for one in found}
    champion = client.get_model_version_by_alias("kdflow-student-digits", "champion")
    assert float(champion.tags["val_accuracy"]) == max(float(one.tags["val_accuracy"]) for one in versions)


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.parametrize("batch", [0, 1], ids=["no store yet", "a store"])
def test_four_runs_that_start_and_register_at_once_are_all_complete(folder, record_property, batch):
    store = f"sqlite:///{folder / 'mlflow.db'}"
    assert (folder / "mlflow.db").exists() == bool(batch)
    commands = [
        Command.start(
            *STUDENT, "--alpha", "1", "--epochs", str(EPOCHS), "--seed", str(4 * batch + n), folder=folder, store=store
        )
        for n in range(FOUR)
    ]
    record_property("faults", FOUR)
    for command in commands:
        assert command.end() == 0, command.text
    print("\n".join(line for command in commands for _, line in command.lines if "Warning" in line))
    assert_crowd_is_complete(folder, FOUR * (batch + 1))


@pytest.mark.slow
def test_two_comparisons_at_once_say_the_same_and_each_keeps_its_own(folder):
    store = f"sqlite:///{folder / 'mlflow.db'}"
    both = [Command.start("compare", folder=folder, store=store) for _ in range(2)]
    assert [command.end() for command in both] == [0, 0]
    tables = [path.read_text() for path in folder.glob("runs/compare-*/artifacts/comparison.csv")]
    assert len(tables) == 2
    assert tables[0] == tables[1]


def fill(store, students, *, hostile=""):
    """Puts a teacher and its finished students into a fresh store, as kdflow would have logged them.

    Args:
        store: The sqlite file.
        students: How many.
        hostile: In their names and settings.
    """
    runs, metrics, params, tags = [], [], [], []
    teacher = uuid.uuid4().hex
    for number in range(students + 1):
        run_id, when = (uuid.uuid4().hex, 1_700_000_000_000 + number) if number else (teacher, 1_700_000_000_000)
        role = "student" if number else "teacher"
        runs.append((run_id, f"{role} {hostile}"[:250], "FINISHED", when, when, "active", f"file:///nowhere/{run_id}"))
        settings = {"model": "small-cnn", "seed": "0", "epochs": "10", "lr": f"0.05{hostile}"}
        marks = {**DATA, "kdflow.role": role, "mlflow.runName": f"{role} {hostile}"}
        if number:
            settings |= {
                "alpha": "0.5",
                "distiller": f"soft-targets{hostile}",
                "temperature": str(number),
                "knobs": hostile,
            }
            marks["kdflow.teacher_run_id"] = teacher
        params += [(name, value, run_id) for name, value in settings.items()]
        tags += [(name, value, run_id) for name, value in marks.items()]
        curves = [(name, 0.5, when + step, run_id, step) for name in CURVES for step in range(1, 11)]
        once = [(name, 0.5, when, run_id, 0) for name in FINAL] + [("model/parameters", 100.0, when, run_id, 0)]
        metrics += curves + once
    latest = [row for row in metrics if row[4] in (0, 10)]
    with closing(sqlite3.connect(store)) as base:
        base.executemany(
            "INSERT INTO runs (run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri,"
            " experiment_id, source_type, user_id) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 'LOCAL', 'someone')",
            runs,
        )
        columns = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
        base.executemany(f"INSERT INTO metrics {columns}", metrics)
        base.executemany(f"INSERT INTO latest_metrics {columns}", latest)
        base.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", params)
        base.executemany("INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", tags)
        base.commit()


CURVES = ("train/loss", "train/label_loss", "train/distill_loss", "train/accuracy", "val/loss", "val/accuracy")


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A fresh store, known to this process too."""
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    MlflowClient(address).search_experiments(max_results=1)
    return tmp_path / "mlflow.db"


@pytest.mark.slow
def test_two_thousand_runs_are_compared_in_a_few_seconds_and_none_is_missed(store, tmp_path):
    from kdflow.config import CompareConfig
    from kdflow.experiments.commands import run_compare

    fill(store, 2000)
    began = time.monotonic()
    comparison = run_compare(CompareConfig())
    seconds = time.monotonic() - began
    print(f"{seconds:.1f} s")
    assert len(comparison.rows) == 2001
    assert comparison.footnotes == ("Figures show the 30 newest runs of 2001.",)
    assert sum(bool(row.history) for row in comparison.rows) == 30
    (table,) = tmp_path.glob("runs/compare-*/artifacts/comparison.csv")
    assert len(table.read_text().splitlines()) == 2002
    assert seconds < 20, "a few seconds, and as many for a busy machine"


@pytest.mark.fault
def test_names_that_mean_harm_are_inert_in_all_that_a_comparison_makes(
    store, tmp_path, record_property, capsys, monkeypatch
):
    from kdflow.config import CompareConfig
    from kdflow.experiments.commands import run_compare

    monkeypatch.setenv("COLUMNS", "200")
    hostile = "<script>|a\n|b|\r[x](javascript:1)=1+1 [bold]$x_{ \x1b[2J\u202e _y @SUM(A1)"
    fill(store, 3, hostile=hostile)
    record_property("faults", 1)
    run_compare(CompareConfig())
    said = capsys.readouterr().out
    (kept,) = tmp_path.glob("runs/compare-*/artifacts")
    files = {path.name: path.read_bytes() for path in kept.rglob("*.*")}
    assert {*(f"comparison.{kind}" for kind in ("md", "csv", "json")), "report.html", "test_accuracy.svg"} <= set(files)
    assert b"<script>" not in files["comparison.md"]
    for text in (said.encode(), files["comparison.md"], files["comparison.csv"]):
        assert not any(control in text for control in (b"\x1b", b"\r[", "\u202e".encode()))
    lines = files["comparison.md"].decode().splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert len(table) == 2 + 4
    assert len(files["comparison.csv"].decode().splitlines()) == 1 + 4
    assert not any(cell.startswith(("=", "+", "@")) for cell in files["comparison.csv"].decode().split(","))
