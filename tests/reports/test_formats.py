"""The outputs of a comparison hold its facts. That names stay mere text in them is test_escaping's."""

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports import formats
from kdflow.reports.report import html
from tests.comparisons import EMPTY, LABELS_ONLY, MIXED, STUDY, TEACHER, png, printed, with_rows


def test_the_table_shows_percent_signed_gap_and_share_of_the_teacher() -> None:
    text = printed(STUDY)
    line = next(line for line in text.splitlines() if "small-cnn" in line)
    assert " ".join(line.split()) == "student small-cnn 1 - 93.12 80.98 71.63 -9.71 105,386 (3.5 %) 2"
    assert "3,000,000 " in text
    assert "One left out." in text
    assert "seed 0" in text


def test_the_table_of_a_study_fits_into_80_columns() -> None:
    lines = printed(STUDY, width=80).splitlines()
    assert sum("student small-cnn" in line for line in lines) == 3


def test_a_gap_above_the_teacher_carries_a_plus_and_no_gap_is_never_a_negative_zero() -> None:
    rows = (TEACHER, replace(MIXED, gap=0.0123), replace(MIXED, gap=-0.000001))
    text = formats.markdown(Answer.of(with_rows(STUDY, rows)))
    assert "| +1.23 |" in text
    assert "| +0.00 |" in text


def test_columns_appear_only_where_they_say_something() -> None:
    assert " seed |" not in formats.markdown(Answer.of(STUDY))
    assert " distiller |" not in formats.markdown(Answer.of(STUDY))
    varied = with_rows(STUDY, (*STUDY.rows, replace(MIXED, seed=1, distiller="dkd")))
    assert " seed |" in formats.markdown(Answer.of(varied))
    assert " distiller |" in formats.markdown(Answer.of(varied))
    alone = formats.markdown(Answer.of(with_rows(STUDY, (TEACHER,))))
    assert all(f" {heading} |" not in alone for heading in ("alpha", "T", "gap"))


def test_without_a_teacher_there_is_no_share() -> None:
    rows = tuple(replace(row, gap=None) for row in (LABELS_ONLY, MIXED))
    text = formats.markdown(Answer.of(with_rows(STUDY, rows)))
    assert "| 105,386 |" in text
    assert "gap" not in text


def test_ordinary_names_read_the_same_in_markdown_and_csv() -> None:
    for name in ("torchvision:x", "small-cnn", "1 run left out (not finished)."):
        assert formats.markdown_escaped(name) == name
        assert formats.spreadsheet_safe(name) == name


def test_csv_parses_back_to_the_same_numbers() -> None:
    records = list(csv.DictReader(io.StringIO(formats.csv_text(STUDY))))
    for record, row in zip(records, STUDY.rows, strict=True):
        for fact in ("alpha", "temperature", "train_accuracy", "val_accuracy", "test_accuracy", "gap"):
            assert (float(record[fact]) if record[fact] else None) == getattr(row, fact)
        for fact in ("seed", "epochs", "parameters"):
            assert int(record[fact]) == getattr(row, fact)
        assert record["run_id"] == row.run_id
        assert (record["dataset"], record["data_digest"], record["split_digest"]) == (
            "cifar10",
            "sha256:aa",
            "sha256:bb",
        )


def test_json_holds_the_whole_comparison() -> None:
    found = json.loads(formats.json_text(Answer.of(STUDY)))
    rows = tuple(Row(**row) for row in found.pop("rows"))
    again = Comparison.of(rows, **{**found, "footnotes": tuple(found["footnotes"])})
    assert again.rows == STUDY.rows
    assert formats.json_text(Answer.of(again)) == formats.json_text(Answer.of(STUDY))


def test_json_has_null_where_a_loss_was_not_finite() -> None:
    row = replace(TEACHER, history={"train/loss": [float("nan"), float("inf"), 1.0]})
    assert json.loads(formats.json_text(Answer.of(with_rows(STUDY, (row,)))))["rows"][0]["history"]["train/loss"] == [
        None,
        None,
        1.0,
    ]


def test_no_runs_still_give_valid_outputs() -> None:
    assert "Accuracy on cifar10" in printed(EMPTY)
    assert formats.markdown(Answer.of(EMPTY)).count("\n") == 4
    assert len(formats.csv_text(EMPTY).splitlines()) == 1
    assert json.loads(formats.json_text(Answer.of(EMPTY)))["rows"] == []
    assert all(map(png, (formats.loss_curves(EMPTY), formats.accuracy_dots(EMPTY), formats.run_curves("a", {}))))


def test_importing_the_report_loads_no_heavy_package() -> None:
    heavy = "{'matplotlib', 'rich', 'mlflow', 'torch', 'click'}"
    code = f"import sys, kdflow.reports.formats; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_markdown_and_page_say_once_how_validation_images_differ_from_test_images() -> None:
    drawn, note = replace(STUDY, validation="cropped"), "Validation images are cropped once, as the study asks; test"
    for text in (formats.markdown(Answer.of(drawn)), html(Answer.of(drawn), {})):
        assert text.count(note) == 1
    for text in (formats.markdown(Answer.of(STUDY)), html(Answer.of(STUDY), {})):
        assert "Validation images" not in text
