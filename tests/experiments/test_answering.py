"""The answer of a real study: predictions read back, how it was made, a report that is written whole."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from kdflow.common.errors import KdflowError, UsageError
from kdflow.config import AnswerConfig, CompareConfig, KeepingConfig, ReportConfig
from kdflow.evaluation.predictions import PREDICTIONS


@pytest.fixture(scope="module")
def answer(study):
    from kdflow.experiments.answering import answered
    from kdflow.tracking.store_runs import StoreRuns

    return answered(study, StoreRuns(), AnswerConfig())


def test_every_arm_has_an_effect_against_the_student_of_labels(study, answer):
    baseline = next(line for line, rows in enumerate(study.rows_by_arm) if rows[0].alpha == 1)
    assert [effect.baseline for effect in answer.effects] == [baseline, baseline]


def test_an_effect_is_the_difference_of_the_accuracies_that_were_logged(study, answer):
    accuracy = [rows[0].test_accuracy for rows in study.rows_by_arm]
    for effect in answer.effects:
        assert effect.mean == pytest.approx(accuracy[effect.arm] - accuracy[effect.baseline], abs=1e-9)


def test_kept_predictions_give_the_accuracy_that_was_logged(study):
    from kdflow.evaluation.predictions import Predictions
    from kdflow.tracking.store_runs import StoreRuns

    for row in study.rows:
        kept = Predictions.from_bytes(StoreRuns().artifact(row.run_id, PREDICTIONS)).test
        assert (kept.logits.argmax(1) == kept.labels).mean() == pytest.approx(row.test_accuracy, abs=1e-9)


def test_it_is_said_how_the_numbers_were_made(answer):
    facts = answer.provenance.facts
    assert {"data", "seeds", "kdflow", "versions", "hardware", "time"} <= set(facts)
    assert "1,293 train, 144 validation, 360 test images" in facts["data"]


def test_what_costs_are_known_is_measured(answer):
    assert {"forward_flops", "bytes", "latency_ms"} <= set(answer.measures.columns)
    assert answer.measures["latency_ms"].notna().all()


def test_runs_without_predictions_are_compared_by_their_accuracy(study, monkeypatch):
    from kdflow.experiments.answering import answered
    from kdflow.tracking.store_runs import StoreRuns

    monkeypatch.setattr(StoreRuns, "artifact", lambda self, run_id, name: None)
    bare = answered(study, StoreRuns(), AnswerConfig())
    assert len(bare.effects) == 2
    assert any("accuracy" in note for note in bare.notes)


def test_damaged_predictions_are_passed_over_with_a_warning(study, monkeypatch, capsys):
    from kdflow.experiments.answering import answered
    from kdflow.tracking.store_runs import StoreRuns

    monkeypatch.setattr(StoreRuns, "artifact", lambda self, run_id, name: b"nothing" if name == PREDICTIONS else None)
    assert answered(study, StoreRuns(), AnswerConfig()).effects
    assert "damaged" in "".join(capsys.readouterr())


def test_a_baseline_that_is_not_there_is_refused_with_what_there_is(study):
    from kdflow.experiments.answering import answered
    from kdflow.tracking.store_runs import StoreRuns

    with pytest.raises(UsageError, match=r"--baseline 'alpha=7'.*alpha = 0\.5"):
        answered(study, StoreRuns(), AnswerConfig(), baseline="alpha=7")


def test_any_arm_can_be_the_baseline(study):
    from kdflow.experiments.answering import answered
    from kdflow.tracking.store_runs import StoreRuns

    found = answered(study, StoreRuns(), AnswerConfig(), baseline="alpha=0.5 T=4").effects
    chosen = next(line for line, rows in enumerate(study.rows_by_arm) if rows[0].alpha == 0.5)
    assert {effect.baseline for effect in found} == {chosen}
    assert len(found) == 2


@pytest.mark.usefixtures("study")
def test_the_report_is_a_page_with_figures_and_tables_and_makes_no_run(tmp_path, capsys):
    from kdflow.experiments.report import run_report
    from kdflow.tracking.store_runs import StoreRuns

    roles = ("teacher", "student", "study", "compare")
    before = len(StoreRuns().runs(*roles))
    run_report(ReportConfig(output=str(tmp_path / "made here")))
    written = {path.relative_to(tmp_path / "made here").as_posix() for path in (tmp_path / "made here").rglob("*.*")}
    assert {"report.html", "comparison.md", "arms.csv", "comparison.csv", "comparison.json"} <= written
    assert any(name.endswith(".svg") for name in written)
    assert any(name.endswith(".pdf") for name in written)
    assert json.loads((tmp_path / "made here" / "comparison.json").read_text())["answer"]["sentence"]
    assert str(tmp_path / "made here" / "report.html") in capsys.readouterr().out.replace("\n", "")
    assert len(StoreRuns().runs(*roles)) == before


def test_a_report_that_cannot_be_written_is_refused_before_any_work(tmp_path, store):
    from kdflow.experiments.report import run_report

    (tmp_path / "taken").write_text("a file")
    with pytest.raises(KdflowError, match="--output"):
        run_report(ReportConfig(output=str(tmp_path / "taken" / "report")))


def test_a_margin_of_nothing_is_refused():
    with pytest.raises(UsageError, match="--margin"):
        replace(CompareConfig(), answer=AnswerConfig(margin=0.0))


def test_nothing_is_downloaded_for_the_pictures_of_a_report(tmp_path):
    from kdflow.common.errors import DataError
    from kdflow.data.sets.download import download, no_downloads

    with no_downloads(), pytest.raises(DataError, match="not fetched"):
        download("http://127.0.0.1:9/x", tmp_path / "x", expected="")


def test_a_report_on_nothing_says_how_to_begin(tmp_path, monkeypatch):
    from kdflow.experiments.report import run_report

    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(KdflowError, match="begin with"):
        run_report(ReportConfig(output=str(tmp_path), keeping=KeepingConfig(runs_dir=str(tmp_path / "runs"))))
    assert not Path(tmp_path / "report.html").exists()
