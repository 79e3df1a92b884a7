"""The outputs of a comparison hold its facts, and text from outside stays text in each of them.

How the figures look is not covered: draw them and look.
"""

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from kdflow import report
from kdflow.rows import Comparison, Row

HISTORY = {
    "train/loss": [2.0, 1.5],
    "train/label_loss": [2.0, 1.4],
    "train/accuracy": [0.3, 0.5],
    "val/loss": [1.9, 1.6],
    "val/label_loss": [1.8, 1.5],
    "val/accuracy": [0.35, 0.45],
}
TEACHER = Row(
    run_id="f" * 32,
    role="teacher",
    model="alexnet",
    alpha=None,
    distiller=None,
    temperature=None,
    seed=0,
    epochs=2,
    settings="",
    parameters=3_000_000,
    train_accuracy=0.9312,
    val_accuracy=0.8098,
    test_accuracy=0.8134,
    gap=None,
    history=HISTORY,
)
LABELS_ONLY = replace(
    TEACHER,
    run_id="1" * 32,
    role="student",
    model="small-cnn",
    alpha=1.0,
    parameters=105_386,
    test_accuracy=0.7163,
    gap=-0.0971,
)
MIXED = replace(LABELS_ONLY, run_id="2" * 32, alpha=0.5, distiller="soft-targets", temperature=4.0)
TEACHER_ONLY = replace(MIXED, run_id="3" * 32, alpha=0.0)
STUDY = Comparison("cifar10", "sha256:aa", "sha256:bb", (TEACHER, LABELS_ONLY, MIXED, TEACHER_ONLY), ("One left out.",))
EMPTY = replace(STUDY, rows=(), footnotes=())

HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "pipe": "a|b",
    "escaped pipe": "a\\|b",
    "newline": "a\n\n# b\r\nc",
    "link": "[x](javascript:alert(1))",
    "formula": '=cmd("calc")',
    "formula behind a blank": "\t@SUM(1)",
    "mathematics": "$x_{",
    "balanced mathematics": "$\\frac{$",
    "hidden in legends": "_hidden",
    "rich markup": "[red]a[/red] [/nothing]",
    "terminal escape": "\x1b[31mred\x1b]0;title\x07",
    "lone surrogate": "a\udcffb",
    "reversed": "a\u202eb",
    "long": "x" * 500,
}
hostile = pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())


def named(name):
    """The study with `name` wherever text comes from outside."""
    rows = tuple(replace(row, model=name) for row in STUDY.rows)
    other = replace(MIXED, run_id="4" * 32, distiller=name)
    return replace(STUDY, dataset=name, rows=(*rows, other, LABELS_ONLY), footnotes=(name,))


def printed(comparison, *, width=200):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(report.table(comparison))
    return re.sub(r"\x1b\[\d?(;\d)*m", "", console.file.getvalue())  # the table's own bold and italics


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def png(figure):
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    return stream.getvalue()


def test_the_table_shows_percent_signed_gap_and_share_of_the_teacher():
    text = printed(STUDY)
    line = next(line for line in text.splitlines() if "small-cnn" in line)
    assert " ".join(line.split()) == "student small-cnn 1 - 93.12 80.98 71.63 -9.71 105,386 (3.5 %) 2"
    assert "3,000,000 " in text
    assert "One left out." in text
    assert "seed 0" in text


def test_the_table_of_a_study_fits_into_80_columns():
    lines = printed(STUDY, width=80).splitlines()
    assert sum("student small-cnn" in line for line in lines) == 3


def test_a_gap_above_the_teacher_carries_a_plus_and_no_gap_is_never_a_negative_zero():
    rows = (TEACHER, replace(MIXED, gap=0.0123), replace(MIXED, gap=-0.000001))
    text = report.markdown(replace(STUDY, rows=rows))
    assert "| +1.23 |" in text
    assert "| +0.00 |" in text


def test_columns_appear_only_where_they_say_something():
    assert " seed |" not in report.markdown(STUDY)
    assert " distiller |" not in report.markdown(STUDY)
    varied = replace(STUDY, rows=(*STUDY.rows, replace(MIXED, seed=1, distiller="dkd")))
    assert " seed |" in report.markdown(varied)
    assert " distiller |" in report.markdown(varied)
    alone = report.markdown(replace(STUDY, rows=(TEACHER,)))
    assert all(f" {heading} |" not in alone for heading in ("alpha", "T", "gap"))


def test_without_a_teacher_there_is_no_share():
    rows = tuple(replace(row, gap=None) for row in (LABELS_ONLY, MIXED))
    text = report.markdown(replace(STUDY, rows=rows))
    assert "| 105,386 |" in text
    assert "gap" not in text


@hostile
def test_a_name_stays_on_its_row_of_the_table(name):
    text = printed(named(name))
    assert text.count("student") >= 5
    assert not re.search(r"[\x00-\x09\x0b-\x1f\ud800-\udfff\u202e]", text)
    if name.startswith("[red]"):
        assert name in text


@hostile
def test_a_name_keeps_the_columns_of_markdown(name):
    text = report.markdown(named(name))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 6
    assert len({line.count("|") for line in lines}) == 1
    assert len(text.splitlines()) == 1 + 1 + len(lines) + 1 + 1
    text.encode()


@hostile
def test_a_name_brings_no_tag_link_emphasis_or_formula_into_markdown(name):
    text = report.markdown(named(name)).replace("**", "")
    assert "<" not in text
    assert not re.search(r"(?<!\\)[\[\]`*_$~#]", text.replace("&#124;", ""))


def test_a_pipe_behind_a_backslash_keeps_both():
    assert report.markdown_escaped("a\\|b") == "a\\\\&#124;b"


def test_ordinary_names_read_the_same_in_markdown_and_csv():
    for name in ("torchvision:x", "small-cnn", "1 run left out (not finished)."):
        assert report.markdown_escaped(name) == name
        assert report.spreadsheet_safe(name) == name


def test_csv_parses_back_to_the_same_numbers():
    records = list(csv.DictReader(io.StringIO(report.csv_text(STUDY))))
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


@hostile
def test_a_name_is_no_formula_and_no_line_break_in_csv(name):
    text = report.csv_text(named(name))
    records = list(csv.reader(io.StringIO(text)))
    assert len(records) == len(text.splitlines()) == 7
    assert {len(record) for record in records} == {len(records[0])}
    words = (records[0].index(column) for column in ("model", "distiller", "dataset"))
    assert not any(record[column].startswith(tuple("=+-@\t\r")) for column in words for record in records)
    text.encode()


def test_json_holds_the_whole_comparison():
    found = json.loads(report.json_text(STUDY))
    rows = tuple(Row(**row) for row in found.pop("rows"))
    assert Comparison(**{**found, "footnotes": tuple(found["footnotes"])}, rows=rows) == STUDY


@hostile
def test_a_name_passes_through_json_and_opens_no_tag(name):
    text = report.json_text(named(name))
    assert "<" not in text
    assert json.loads(text)["dataset"] == name.replace("\udcff", "\ufffd")


def test_json_has_null_where_a_loss_was_not_finite():
    row = replace(TEACHER, history={"train/loss": [float("nan"), float("inf"), 1.0]})
    assert json.loads(report.json_text(replace(STUDY, rows=(row,))))["rows"][0]["history"]["train/loss"] == [
        None,
        None,
        1.0,
    ]


def test_the_loss_curves_hold_one_line_per_run_and_panel():
    figure = report.loss_curves(STUDY)
    metrics = ("train/loss", "val/loss", "train/label_loss", "val/label_loss")
    for panel, metric in zip(figure.axes, metrics, strict=True):
        assert [list(line.get_ydata()) for line in panel.lines] == [row.history[metric] for row in STUDY.rows]
        assert all(list(line.get_xdata()) == [1, 2] for line in panel.lines)
    assert [panel.get_yscale() for panel in figure.axes] == ["log", "log", "linear", "linear"]
    assert legend(figure) == ["teacher", "alpha = 1", "alpha = 0.5, T = 4", "alpha = 0, T = 4"]


def test_alphas_differ_in_colour_and_temperatures_in_line_style():
    figure = report.loss_curves(replace(STUDY, rows=(*STUDY.rows, replace(MIXED, temperature=1.0))))
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert len({line.get_color() for line in lines.values()}) == 4
    assert lines["alpha = 0.5, T = 1"].get_color() == lines["alpha = 0.5, T = 4"].get_color()
    assert lines["alpha = 0.5, T = 1"].get_linestyle() != lines["alpha = 0.5, T = 4"].get_linestyle()


def test_runs_that_differ_in_seed_model_or_nothing_get_labels_of_their_own():
    rows = (
        MIXED,
        replace(MIXED, seed=1),
        replace(TEACHER_ONLY, model="other"),
        TEACHER_ONLY,
        LABELS_ONLY,
        replace(LABELS_ONLY, run_id="5" * 32),
    )
    assert legend(report.loss_curves(replace(STUDY, rows=rows))) == [
        "alpha = 0.5, T = 4, seed 0",
        "alpha = 0.5, T = 4, seed 1",
        "alpha = 0, T = 4, other",
        "alpha = 0, T = 4, small-cnn",
        "alpha = 1, 11111111",
        "alpha = 1, 55555555",
    ]


def test_a_metric_that_is_missing_is_not_drawn():
    row = replace(TEACHER, history={"val/loss": [1.0, 0.5]})
    assert [len(panel.lines) for panel in report.loss_curves(replace(STUDY, rows=(row,))).axes] == [0, 1, 0, 0]
    assert [len(panel.lines) for panel in report.run_curves("a", row.history).axes] == [1, 0]


def test_a_single_epoch_shows_a_point():
    history = {name: values[:1] for name, values in HISTORY.items()}
    rows = tuple(replace(row, epochs=1, history=history) for row in STUDY.rows)
    for figure in (report.loss_curves(replace(STUDY, rows=rows)), report.run_curves("a", history)):
        assert png(figure)
        for panel in figure.axes:
            assert [tick for tick in panel.get_xticks() if 0.5 <= tick <= 1.5] == [1]
            assert all(line.get_marker() not in ("", "None") for line in panel.lines)


def test_the_bars_start_at_zero_and_carry_their_values():
    panel = report.accuracy_bars(STUDY).axes[0]
    assert panel.get_xlim() == (0, 100)
    widths = [bar.get_width() for bar in panel.patches]
    expected = [
        100 * share for row in STUDY.rows for share in (row.train_accuracy, row.val_accuracy, row.test_accuracy)
    ]
    assert widths == pytest.approx(expected)
    values = [text.get_text() for text in panel.texts if text.get_text()[0].isdigit()]
    assert values == [f"{width:.2f}" for width in widths]
    assert panel.lines[0].get_xdata() == pytest.approx([81.34, 81.34])


def test_a_short_bar_carries_its_value_beside_it():
    panel = report.accuracy_bars(replace(STUDY, rows=(replace(TEACHER, test_accuracy=0.1),))).axes[0]
    beside = next(text for text in panel.texts if text.get_text() == "test 10.00")
    assert beside.get_position()[0] > 10


def test_the_curves_of_a_run_are_loss_and_percent():
    figure = report.run_curves("a run", HISTORY)
    drawn = [[list(line.get_ydata()) for line in panel.lines] for panel in figure.axes]
    assert drawn == [[[2.0, 1.5], [1.9, 1.6]], [[30.0, 50.0], [35.0, 45.0]]]
    assert legend(figure) == ["training", "validation"]


@hostile
def test_a_name_in_a_title_is_drawn_letter_by_letter(name):
    figure = report.run_curves(name, {})
    title = figure.get_suptitle()
    assert "$" not in title.replace(r"\$", "")
    assert title.isprintable()
    assert len(title) < 60
    figure.clear()
    figure.suptitle(title)
    assert png(figure)


def test_every_run_stays_in_the_legend_whatever_its_model_is_called():
    names = [*HOSTILE.values(), "x" * 501]  # the last two look alike once shortened
    rows = tuple(replace(MIXED, model=name, run_id=f"{place:032}"[::-1]) for place, name in enumerate(names))
    figure = report.loss_curves(replace(STUDY, rows=rows))
    assert len(legend(figure)) == len(figure.axes[0].lines) == len(rows)
    assert all("$" not in label.replace(r"\$", "") and label.isprintable() for label in legend(figure))
    assert png(figure)
    assert png(report.accuracy_bars(replace(STUDY, rows=rows[:8])))


def test_no_runs_still_give_valid_outputs():
    assert "Accuracy on cifar10" in printed(EMPTY)
    assert report.markdown(EMPTY).count("\n") == 4
    assert len(report.csv_text(EMPTY).splitlines()) == 1
    assert json.loads(report.json_text(EMPTY))["rows"] == []
    assert all(map(png, (report.loss_curves(EMPTY), report.accuracy_bars(EMPTY), report.run_curves("a", {}))))


def test_importing_the_report_loads_no_heavy_package():
    code = "import sys, kdflow.report; print({'matplotlib', 'rich', 'mlflow', 'torch', 'click'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
