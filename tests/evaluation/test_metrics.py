"""A metric is declared once, and then computed, logged, kept and shown everywhere."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from kdflow.data import Dataset
from kdflow.evaluation import metrics as declared
from kdflow.evaluation.metrics import FRACTION, Metric, Observed, computed, declare, measure, metrics

BUILT_IN = list(metrics)


@pytest.fixture
def declared_for_a_test(monkeypatch: pytest.MonkeyPatch) -> Callable[[Metric], Metric]:
    """`declare`, of which nothing is left after the test."""
    monkeypatch.setattr(metrics, "_entries", dict(metrics._entries))
    return declare


def confidence(observed: Observed) -> Tensor:
    """How sure the model is of its answers."""
    return observed.logits.softmax(1).max(1).values.sum()


def observed(**changes: object) -> Observed:
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    losses = {"loss": torch.tensor(6.0), "label_loss": torch.tensor(3.0)}
    facts = {"logits": logits, "answers": logits.argmax(1), "labels": torch.tensor([0, 1, 1]), "losses": losses}
    return Observed(**{**facts, "teacher": {}, **changes})


def test_values_by_hand_are_sums_over_the_images() -> None:
    found = measure("val/", observed(teacher={"logits": torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])}))
    assert {name: value.item() for name, value in found.items() if name != "val/teacher_kl"} == {
        "val/loss": 6.0,
        "val/label_loss": 3.0,
        "val/accuracy": 2,
        "val/teacher_agreement": 2,
    }
    assert found["val/teacher_kl"] > 0


def test_what_does_not_apply_is_left_out() -> None:
    assert set(measure("val/", observed())) == {"val/loss", "val/label_loss", "val/accuracy"}
    assert "train/distill_loss" not in measure("train/", observed())
    assert set(measure("final/test_", observed())) == {"final/test_accuracy", "final/test_loss"}


def test_every_metric_says_what_it_is() -> None:
    for name in metrics:
        assert metrics[name].name == name
        assert metrics[name].heading
        assert metrics[name].better in ("", "up", "down")
    assert set(computed("")) == {name for name in metrics if name.startswith(("train/", "val/", "final/"))}


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="'val/loss' is registered twice"):
        declare(Metric("val/loss", "again"))


def test_a_metric_that_is_declared_is_in_the_log_the_table_the_files_and_a_figure(
    declared_for_a_test: Callable[[Metric], Metric], data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    from kdflow.analysis.answer import Answer
    from kdflow.analysis.cells import columns
    from kdflow.experiments import session
    from kdflow.experiments.study import run_study
    from kdflow.journal.journal import Journal
    from kdflow.reports import figures, formats
    from tests.experiments.conftest import study_config

    monkeypatch.setattr(session, "load", lambda config: data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    sure = {"unit": FRACTION, "better": "up", "compute": confidence}
    declared_for_a_test(Metric("val/confidence", "confidence", **sure, curve=True, panel="How sure they are."))
    declared_for_a_test(Metric("final/test_confidence", "confidence on test images", **sure, column="sure"))

    found = run_study(study_config(alphas=(1.0,), student_epochs=2, student_batch_size=16, teacher_epochs=1))

    _, student = found.rows
    logged = MlflowClient().get_run(student.run_id).data.metrics
    assert 0.25 < logged["val/confidence"] < 1
    (journal,) = Journal.every(tmp_path / "runs")
    kept = journal.metrics(next(key for key in journal.ids if journal.ids[key] == student.run_id))
    assert kept["final/test_confidence"] == {0: logged["final/test_confidence"]}
    assert list(kept["val/confidence"]) == [1, 2]
    value = logged["final/test_confidence"]
    assert columns(found.runs)["sure"][1] == f"{100 * value:.2f}"
    told = json.loads(formats.json_text(Answer.of(found)))["rows"][1]
    assert told["test_confidence"] == pytest.approx(value)
    assert told["history"]["val/confidence"] == student.history["val/confidence"]
    assert float(list(csv.DictReader(io.StringIO(formats.csv_text(found))))[1]["test_confidence"]) == value
    panel = figures.loss_curves(found).axes[-1]
    assert [list(line.get_ydata()) for line in panel.lines][1] == student.history["val/confidence"]
    assert panel.get_ylabel() == "confidence"


def test_nothing_of_a_test_is_left() -> None:
    assert list(declared.metrics) == BUILT_IN
