"""A comparison of several seeds: arms first, every run after them, in each output and figure."""

import csv
import io
import json
from dataclasses import replace
from statistics import fmean

import pytest

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import columns
from kdflow.analysis.comparison import Comparison
from kdflow.reports import formats
from kdflow.reports.report import html
from tests.comparisons import FACTS, GRID, HISTORY, MIXED, legend, png, printed, seeded, with_rows
from tests.reports.reading import Read
from tests.reports.test_escaping import for_names, parsed, texts
from tests.reports.test_report import OURS


def test_the_terminal_shows_the_arms_alone() -> None:
    lines = [" ".join(line.split()) for line in printed(GRID).splitlines()]
    assert "student small-cnn 0.5 4 93.12 (0.00) 80.98 (0.00) 75.00 (2.65) +3.00 (1.00) -9.71 (0.00)" in lines[5]
    assert sum(line.startswith(("teacher", "student")) for line in lines) == 3
    assert any(line.startswith("Means over seeds, the standard deviation in brackets.") for line in lines)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_no_number_of_an_arm_is_left_out_at_any_width(width: int) -> None:
    text = "".join(printed(GRID, width=width).split())
    for cells in GRID.cells.values():
        for cell in set(cells) - {"-"}:
            assert cell.replace(" ", "") in text


def test_markdown_has_the_arms_then_every_run() -> None:
    tokens = parsed(formats.markdown(Answer.of(GRID)))
    kinds = [token.type for token in tokens if token.level == 0 and token.nesting == 1]
    assert kinds == ["paragraph_open", "table_open", "bullet_list_open", "paragraph_open", "table_open"]
    cells = texts(tokens, "td_open")
    assert cells.count("75.00 (2.65)") == 1
    assert [cells.count(f"{accuracy}.00") for accuracy in (73, 74, 78)] == [1, 2, 1], "alpha = 1 has a 74 too"
    assert "seeds" in texts(tokens, "th_open")


def test_the_page_has_the_arms_and_after_the_figures_every_run() -> None:
    text = html(Answer.of(GRID))
    read = Read(text)
    assert read.tags.count("tr") == 1 + 3 + 1 + 9
    assert text.index("<svg") < text.index(">Every run</h2>"), "figures before what may be very long"
    for cells in (GRID.cells["test"], columns(GRID.runs)["test"]):
        assert set(cells) <= set(read.texts["td"])


def test_a_notebook_shows_the_arms() -> None:
    read = Read(GRID._repr_html_())
    assert read.tags.count("tr") == 1 + 3
    assert "+3.00 (1.00)" in read.texts["td"]


def test_csv_has_a_line_for_every_run_and_no_arms() -> None:
    records = list(csv.DictReader(io.StringIO(formats.csv_text(GRID))))
    assert [record["seed"] for record in records] == ["0", "1", "2"] * 3
    assert list(records[0])[: len(formats.FACTS)] == list(formats.FACTS)


def test_json_has_arms_and_runs() -> None:
    found = json.loads(formats.json_text(Answer.of(GRID)))
    assert [row["seed"] for row in found["rows"]] == [0, 1, 2] * 3
    assert [(arm["role"], arm["alpha"], arm["seeds"]) for arm in found["arms"]] == [
        ("teacher", None, 3),
        ("student", 1.0, 3),
        ("student", 0.5, 3),
    ]
    assert found["arms"][2]["difference_mean"] == pytest.approx(0.03)
    assert "arms" not in json.loads(formats.json_text(Answer.of(Comparison.of((MIXED,), **FACTS))))


def test_a_curve_is_the_mean_over_seeds_in_a_band_from_lowest_to_highest() -> None:
    heights = ([2.0, 1.0], [1.5, 0.9], [1.0, 0.2])
    rows = [
        replace(row, history=HISTORY | {"val/label_loss": values})
        for row, values in zip(seeded(MIXED, 0.7, 0.7, 0.7), heights, strict=True)
    ]
    figure = formats.loss_curves(with_rows(GRID, rows))
    panel = figure.axes[3]
    (curve,) = panel.lines
    assert list(curve.get_ydata()) == [fmean(values) for values in zip(*heights, strict=True)]
    (band,) = panel.collections
    (corners,) = [path.vertices for path in band.get_paths()]
    assert sorted({tuple(corner) for corner in corners}) == [(1, 1.0), (1, 2.0), (2, 0.2), (2, 1.0)]
    assert legend(figure) == ["alpha = 0.5, T = 4"]


def test_a_run_without_curves_takes_no_part_in_the_mean() -> None:
    with_curves, without = seeded(MIXED, 0.7, 0.7)
    figure = formats.loss_curves(with_rows(GRID, (with_curves, replace(without, history={}))))
    assert [list(panel.lines[0].get_ydata()) for panel in figure.axes] == [
        HISTORY[name] for name in ("train/loss", "val/loss", "train/label_loss", "val/label_loss")
    ]


def test_accuracies_are_a_dot_a_seed_and_a_line_at_the_mean_teachers_on_a_scale_of_their_own() -> None:
    figure = formats.accuracy_dots(GRID)
    assert [panel.get_title() for panel in figure.axes[:3]] == ["train", "validation", "test"]
    teachers, students = figure.axes[2], figure.axes[5]
    assert [list(line.get_xdata()) for line in teachers.lines] == [pytest.approx([81, 82, 83]), pytest.approx([82, 82])]
    assert list(students.lines[2].get_xdata()) == pytest.approx([73, 74, 78])
    assert [text.get_text() for text in students.texts] == ["72.00", "75.00"]
    assert teachers.get_xlim() != students.get_xlim()
    assert png(figure)


def test_arms_that_differ_in_epochs_or_model_alone_have_labels_of_their_own() -> None:
    rows = seeded(MIXED, 0.7, 0.7)
    longer = [replace(row, run_id=row.run_id[::-1], epochs=9) for row in rows]
    assert legend(formats.loss_curves(with_rows(GRID, (*rows, *longer)))) == [
        "alpha = 0.5, T = 4, 2 epochs",
        "alpha = 0.5, T = 4, 9 epochs",
    ]


@for_names()
def test_names_stay_mere_text_in_both_tables(name: str) -> None:
    rows = [replace(row, model=name, settings=name) for row in GRID.rows]
    comparison = replace(with_rows(GRID, rows), dataset=name)
    read = Read(html(Answer.of(comparison), {}))
    assert set(read.tags) <= OURS
    assert read.tags.count("tr") == 1 + 3 + 1 + 9
    tokens = parsed(formats.markdown(Answer.of(comparison)))
    kinds = {token.type for token in tokens if token.level == 0 and token.nesting == 1}
    assert kinds == {"paragraph_open", "table_open", "bullet_list_open"}
    assert "<" not in formats.json_text(Answer.of(comparison))
