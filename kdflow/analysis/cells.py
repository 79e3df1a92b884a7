"""A comparison as columns of short texts, the same in the terminal, in Markdown, in HTML; and as a table of HTML."""

import html
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from kdflow.common.text import plain

if TYPE_CHECKING:
    from kdflow.analysis.comparison import Comparison, Row

NOTHING = "-"  # a cell that does not apply, such as the alpha of the teacher
NAMES = ("run", "model", "distiller", "settings")  # columns of words; all others hold numbers


def columns(comparison: "Comparison") -> dict[str, list[str]]:
    """Returns heading to cells, one cell a row. Columns that would say nothing are left out."""
    rows = comparison.rows
    teacher = next((row for row in rows if row.role == "teacher"), None)
    every = {
        "run": [row.role for row in rows],
        "model": [row.model for row in rows],
        "alpha": [_number(row.alpha) for row in rows],
        "distiller": [row.distiller or NOTHING for row in rows],
        "T": [_number(row.temperature) for row in rows],
        "train": [percent(row.train_accuracy) for row in rows],
        "val": [percent(row.val_accuracy) for row in rows],
        "test": [percent(row.test_accuracy) for row in rows],
        "gap": [NOTHING if row.gap is None else f"{100 * row.gap:+z.2f}" for row in rows],
        "parameters": [_parameters(row, teacher=teacher) for row in rows],
        "epochs": [str(row.epochs) for row in rows],
        "seed": [str(row.seed) for row in rows],
        "settings": [row.settings or NOTHING for row in rows],
    }
    idle = {heading for heading in ("alpha", "T", "gap", "settings") if set(every[heading]) <= {NOTHING}}
    idle |= {heading for heading in ("distiller", "seed") if len(set(every[heading]) - {NOTHING}) < 2}
    return {heading: cells for heading, cells in every.items() if heading not in idle}


def notes(comparison: "Comparison") -> list[str]:
    """Returns what the numbers are, what all runs have in common, and how validation images differ from test images."""
    common = [f"distiller {name}" for name in {row.distiller for row in comparison.rows} - {None}]
    common = common if len(common) == 1 else []
    if len(seeds := {row.seed for row in comparison.rows}) == 1:
        common.append(f"seed {seeds.pop()}")
    parts = ["Accuracies in %"]
    if any(row.gap is not None for row in comparison.rows):
        parts.append("gap to the teacher's test accuracy in percentage points")
    sentences = ["; ".join((*parts, *common)) + "."]
    if comparison.validation:
        sentences.append(validation_note(comparison.validation))
    return sentences


def validation_note(drawn: str) -> str:
    """Returns why accuracies of validation and test images are not alike.

    Args:
        drawn: What was done to validation images, such as "cropped and mirrored".
    """
    return f"Validation images are {drawn} once, as the study asks; test images are not."


def percent(fraction: float) -> str:
    """Returns a fraction as a number of percent."""
    return f"{100 * fraction:.2f}"


def html_table(shown: Mapping[str, Iterable[str]]) -> str:
    """Returns columns as a table of HTML in which whatever they hold is mere text."""
    head, body = _line("th", shown, shown), (_line("td", shown, cells) for cells in zip(*shown.values(), strict=True))
    return "\n".join(("<table>", f"<thead>{head}</thead>", "<tbody>", *body, "</tbody>", "</table>"))


def inert(text: str) -> str:
    """Returns a text as HTML that shows it and does nothing else."""
    return html.escape(plain(text))


def _line(tag: str, headings: Iterable[str], cells: Iterable[str]) -> str:
    kinds = (' class="word"' if heading in NAMES else "" for heading in headings)
    return f"<tr>{''.join(f'<{tag}{kind}>{inert(cell)}</{tag}>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def _parameters(row: "Row", *, teacher: "Row | None") -> str:
    if teacher is None or row is teacher:
        return f"{row.parameters:,}"
    return f"{row.parameters:,} ({100 * row.parameters / teacher.parameters:.1f} %)"
