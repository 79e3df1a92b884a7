"""Names from outside - of models, distillers, data sets, settings - are mere text wherever a comparison shows them.

Every test runs on the names below and on many that hypothesis makes up. The HTML page is in test_report.py. That
Markdown stays inert is asked of a CommonMark parser, with tables, as the web pages that show it use one.
Not covered: that spreadsheet programs have no further characters that begin a formula.
"""

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import Comparison
from kdflow.common.text import plain
from kdflow.reports import formats
from kdflow.reports.lettering import drawable, run_labels, wrapped
from kdflow.reports.terminal import Shown
from tests.comparisons import LABELS_ONLY, MIXED, STUDY, TEACHER, legend, png, printed, with_rows

HOSTILE = {
    "tag": "<script>alert(1)</script>",
    "pipe": "a|b",
    "escaped pipe": "a\\|b",
    "newline": "a\n\n# b\r\nc",
    "link": "[x](javascript:alert(1))",
    "emphasis": "**a** ~~b~~ `c` _d_",
    "bare address": "see https://evil.example and WWW.evil.example",
    "entity": "&lt;script&gt;&#124;",
    "formula": '=cmd("calc")',
    "formula behind a blank": "\t@SUM(1)",
    "formula behind a semicolon": "a; =SUM(1)",
    "wide formula": "\uff1dSUM(1)",
    "mathematics": "$x_{",
    "balanced mathematics": "$\\frac{$",
    "list": "1. a",
    "rule": "---",
    "hidden in legends": "_hidden",
    "rich markup": "[red]a[/red] [/nothing]",
    "terminal escape": "\x1b[31mred\x1b]0;title\x07",
    "8-bit terminal escape": "\x9b31mred\x84",
    "lone surrogate": "a\udcffb",
    "reversed": "a\u202eb\u2066c",
    "without width": "a\u200bb\u3164c\ufeff",
    "no shape in the font": "\u6570\u5b57 \U0001f4a5",
    "long": "x" * 500,
    "empty": "",
}
PARTS = [*HOSTILE.values(), *"=+-@|\\`*_~[](){}<>&$#!;,'\"\t\r\n \u2028\x00\x1b\u202e\u0301"]
ANYTHING = st.text(st.characters(exclude_categories=()), max_size=12)
NAMES = st.lists(st.sampled_from(PARTS) | ANYTHING, max_size=6).map("".join)


def for_names(count: int = 60) -> Callable[[Callable[[str], None]], Callable[[], None]]:
    """Runs a test on every hostile name, and on `count` made of their parts and of anything."""

    def decorate(test: Callable[[str], None]) -> Callable[[], None]:
        for name in HOSTILE.values():
            test = example(name)(test)
        chosen = settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        return chosen(given(NAMES)(test))

    return decorate


def named(name: str) -> Comparison:
    """A study with `name` wherever text comes from outside."""
    students = tuple(replace(row, model=name, settings=f"knobs={name}") for row in STUDY.rows[1:])
    other = replace(MIXED, run_id="4" * 32, model=name, distiller=name, settings=name)
    return with_rows(STUDY, (replace(TEACHER, model=name), *students, other), dataset=name, footnotes=(name, name))


def shown_as_nothing(text: str) -> list[str]:
    return [letter for letter in text if unicodedata.category(letter)[0] == "C" or letter in "\u3164\u115f\ufe0f"]


@for_names(300)
def test_plain_text_is_one_line_without_anything_that_acts(name: str) -> None:
    text = plain(name)
    assert len(text.splitlines()) <= 1
    assert not shown_as_nothing(text)
    assert plain(text) == text
    text.encode()


@pytest.mark.parametrize("name", ["small-cnn", "rkd:25", "Größe 3 | größer", "数字", "ناقص", "a_b*c", "é", "x\u0301"])
def test_plain_text_keeps_what_can_be_read(name: str) -> None:
    assert plain(name) == name


@for_names()
def test_a_name_stays_on_its_row_and_in_its_column_of_the_terminal_table(name: str) -> None:
    comparison = named(name)
    text = printed(comparison)
    assert not shown_as_nothing(text.replace("\n", ""))
    body = text.splitlines()
    body = body[next(place for place, line in enumerate(body) if set(line.strip()) == {"─"}) + 1 :]
    begun = [line.split()[0] for line in body if re.match(r"(teacher|student) ", line)]
    assert begun == [row.role for row in comparison.rows], "a long name goes on below itself, under an empty first cell"
    drawn = Shown(Answer.of(comparison)).table
    assert [len(list(column.cells)) for column in drawn.columns] == [len(comparison.rows)] * len(drawn.columns)
    [models] = [column for column in drawn.columns if str(column.header) == "model"]
    assert {str(cell) for cell in models.cells} == {plain(name)}, "markup is shown, not followed"


def parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)


def texts(tokens: list[Token], within: str) -> list[str]:
    """What a reader of the page reads in all table cells or list items."""
    found = []
    for before, token in pairwise(tokens):
        if before.type == within:
            assert token.type == "inline"
            assert {child.type for child in token.children or []} <= {"text"}, "no tags, links, emphasis, code, images"
            found.append("".join(child.content for child in token.children or []))
    return found


@for_names()
def test_a_name_is_read_letter_by_letter_in_markdown(name: str) -> None:
    comparison = named(name)
    text = formats.markdown(Answer.of(comparison))
    tokens = parsed(text)
    headings = texts(tokens, "th_open")
    cells = texts(tokens, "td_open")
    assert len(cells) == len(headings) * len(comparison.rows)
    assert cells[headings.index("model") :: len(headings)] == [plain(name)] * len(comparison.rows)
    blocks = [token.type for token in tokens if token.level == 0 and token.nesting == 1]
    assert blocks == ["paragraph_open", "table_open", "bullet_list_open"]
    notes = tokens[[token.type for token in tokens].index("bullet_list_open") :]
    assert texts(notes, "paragraph_open") == [plain(name)] * 2 * bool(plain(name))
    assert not re.search(r"<|>|://|www\.", text, re.IGNORECASE), "no dialect finds a tag or a bare address"
    assert not re.search(r"(?<!\\)(\\\\)*\$", text), "nor mathematics"
    text.encode()


@for_names()
def test_the_title_of_markdown_is_one_bold_phrase(name: str) -> None:
    [title] = [
        token
        for token in parsed(formats.markdown(Answer.of(named(name))))
        if token.type == "inline" and token.level == 1
    ][:1]
    kinds = [child.type for child in title.children or [] if child.type != "text" or child.content]
    assert kinds == ["strong_open", "text", "strong_close", "text"]


def begins_a_formula(cell: str) -> bool:
    return any(part.strip().startswith(tuple("=+-@\uff1d\uff0b\uff0d\uff20")) for part in cell.split(";"))


@for_names()
def test_a_name_is_neither_a_formula_nor_a_line_nor_a_cell_in_csv(name: str) -> None:
    comparison = named(name)
    text = formats.csv_text(comparison)
    records = list(csv.DictReader(io.StringIO(text), strict=True))
    assert len(records) + 1 == len(text.splitlines()) == len(comparison.rows) + 1
    for record, row in zip(records, comparison.rows, strict=True):
        assert None not in record
        assert None not in record.values()
        for column in ("model", "distiller", "settings", "dataset"):
            assert not begins_a_formula(record[column])
        assert record["model"].replace("'", "") == plain(name).replace("'", "")
        assert float(record["test_accuracy"]) == row.test_accuracy
    text.encode()


def refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


@for_names()
def test_a_name_passes_through_strict_json_and_opens_no_tag(name: str) -> None:
    text = formats.json_text(Answer.of(named(name)))
    assert "<" not in text
    found = json.loads(text, parse_constant=refuse)
    whole = re.sub(r"[\ud800-\udfff]", "\ufffd", name)
    assert found["dataset"] == whole
    assert {row["model"] for row in found["rows"]} == {whole}
    text.encode()


def takes_for_mathematics(text: str) -> bool:
    return "$" in text.replace(r"\$", "")


@for_names(200)
def test_a_name_is_lettered_as_it_is_in_figures(name: str) -> None:
    text = drawable(name)
    assert text.isprintable()
    assert len(text.replace(r"\$", "$")) <= 48
    for lines in (text, wrapped(text, 5), wrapped(text, 28)):
        assert not takes_for_mathematics(lines)
    labels = run_labels(named(name).rows)
    assert len(set(labels)) == len(labels)
    assert not any(label.startswith("_") for label in labels), "matplotlib leaves such a label out of its legend"


def test_runs_that_nothing_tells_apart_are_numbered() -> None:
    assert run_labels([LABELS_ONLY, LABELS_ONLY, MIXED]) == [
        "1. alpha = 1",
        "2. alpha = 1",
        "3. alpha = 0.5, T = 4",
    ]


def shows_every_run(comparison: Comparison) -> None:
    """Draws the figures, in which warnings are errors."""
    curves, dots = formats.loss_curves(comparison), formats.accuracy_dots(comparison)
    assert len(legend(curves)) == len(curves.axes[0].lines) == len(comparison.rows)
    assert sum(len(panel.get_yticklabels()) for panel in dots.axes[::3]) == len(comparison.rows)
    assert png(curves)
    assert png(dots)
    assert min(panel.get_window_extent().width for panel in dots.axes) / dots.dpi > 1.5, "inches, beside their names"


@pytest.mark.parametrize("place", ["model", "distiller", "settings"])
def test_figures_show_every_run_whatever_it_is_called(place: str) -> None:
    names = [*HOSTILE.values(), "x" * 501]  # the last two names look alike once shortened
    changes: list[dict[str, Any]] = [{place: name, "run_id": f"{n:032}"[::-1]} for n, name in enumerate(names)]
    shows_every_run(with_rows(STUDY, tuple(replace(MIXED, **change) for change in changes)))


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_name_in_a_title_is_drawn(name: str) -> None:
    assert png(formats.run_curves(name, {}))


@pytest.mark.slow
@for_names(30)
def test_figures_draw_any_name_anywhere(name: str) -> None:
    shows_every_run(named(name))
