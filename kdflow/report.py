"""A comparison as a terminal table, Markdown, CSV, JSON and figures. Text from outside is inert in each of them."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from kdflow.figures import accuracy_bars, loss_curves, png, run_curves
from kdflow.rows import Comparison, Row
from kdflow.text import plain

if TYPE_CHECKING:
    from rich.table import Table

__all__ = [
    "accuracy_bars",
    "columns",
    "csv_text",
    "json_text",
    "loss_curves",
    "markdown",
    "png",
    "run_curves",
    "table",
    "units",
]

NOTHING = "-"  # a cell that does not apply, such as the alpha of the teacher
NAMES = ("run", "model", "distiller", "settings")  # columns of words; all others hold numbers
FACTS = (
    "role",
    "model",
    "alpha",
    "distiller",
    "temperature",
    "seed",
    "epochs",
    "settings",
    "parameters",
    "train_accuracy",
    "val_accuracy",
    "test_accuracy",
    "gap",
    "run_id",
)


def table(comparison: Comparison) -> "Table":
    """Returns the teacher and its students as a table for the terminal, with the footnotes below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    caption = "\n".join(map(plain, (units(comparison), *comparison.footnotes)))
    drawn = Table(
        title=Text(f"Accuracy on {plain(comparison.dataset)}"),
        caption=Text(caption),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,  # with the two lines below, three students fit into 80 columns
        pad_edge=False,
        show_edge=False,
    )
    shown = columns(comparison)
    for heading in shown:
        drawn.add_column(
            Text(heading),
            justify="left" if heading in NAMES else "right",
            no_wrap=heading not in ("model", "distiller", "settings"),
            overflow="fold",
            max_width=40,
        )
    for cells in zip(*shown.values(), strict=True):
        drawn.add_row(*(Text(plain(cell)) for cell in cells))
    return drawn


def markdown(comparison: Comparison) -> str:
    """Returns the teacher and its students as a pipe table, with the footnotes as a list below."""
    shown = columns(comparison)
    lines = [
        f"**Accuracy on {markdown_escaped(comparison.dataset)}.** {markdown_escaped(units(comparison))}",
        "",
        _pipes(shown),
        _pipes(":--" if heading in NAMES else "--:" for heading in shown),
        *(_pipes(map(markdown_escaped, cells)) for cells in zip(*shown.values(), strict=True)),
    ]
    if comparison.footnotes:
        lines += ["", *(f"- {_markdown_line(note)}" for note in comparison.footnotes)]
    return "\n".join(lines) + "\n"


def csv_text(comparison: Comparison) -> str:
    """Returns one line per run: accuracies and gap as fractions, an empty cell for what does not apply.

    Data set and digests stand in every line, so that files of several comparisons can be joined. Footnotes and
    histories have no place here; `json_text` holds them.
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*FACTS, "dataset", "data_digest", "split_digest"))
    common = (comparison.dataset, comparison.data_digest, comparison.split_digest)
    for row in comparison.rows:
        writer.writerow(spreadsheet_safe(value) for value in (*(getattr(row, fact) for fact in FACTS), *common))
    return stream.getvalue()


def json_text(comparison: Comparison) -> str:
    """Returns the whole comparison, histories included, so that every figure can be drawn again from it."""
    text = json.dumps(_json_safe(asdict(comparison)), indent=2, allow_nan=False)
    # Inside strings, the only place where it stands, this is the same character; a script tag it no longer is.
    return text.replace("<", "\\u003c") + "\n"


def markdown_escaped(text: str) -> str:
    """Returns `text` as Markdown shows it letter by letter: no columns, tags, links, emphasis or formulas."""
    escaped = re.sub(r"([\\`*_\[\]$~#])", r"\\\1", plain(text))
    # Not every dialect takes a backslash before these; all of them take entities.
    escaped = escaped.translate({ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord("|"): "&#124;"})
    # Some dialects make links of bare addresses.
    return re.sub(r"(?i)(www)\.", r"\1&#46;", escaped.replace("://", "&#58;//"))


def spreadsheet_safe(value: object) -> object:
    """Returns `value` as a spreadsheet shows it: text that it would take for a formula gets an apostrophe in front."""
    if not isinstance(value, str):
        return value
    # A semicolon begins a new cell where the comma is the decimal mark.
    return re.sub(r"(^|;)(\s*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])", r"\1\2'", plain(value))


def _json_safe(value: Any) -> Any:
    """Returns `value` without what strict JSON has no place for: lone surrogates, infinities and not-a-number."""
    if isinstance(value, dict):
        return {_json_safe(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"[\ud800-\udfff]", "\ufffd", value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown_line(text: str) -> str:
    """Returns `text` as a line of its own, which is no list, no rule and no heading."""
    return re.sub(r"^(\d*)([-+.)=:])", r"\1\\\2", markdown_escaped(text))


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def columns(comparison: Comparison) -> dict[str, list[str]]:
    """Returns heading to cells, one cell a row. Columns that would say nothing are left out."""
    rows = comparison.rows
    teacher = next((row for row in rows if row.role == "teacher"), None)
    every = {
        "run": [row.role for row in rows],
        "model": [row.model for row in rows],
        "alpha": [_number(row.alpha) for row in rows],
        "distiller": [row.distiller or NOTHING for row in rows],
        "T": [_number(row.temperature) for row in rows],
        "train": [f"{100 * row.train_accuracy:.2f}" for row in rows],
        "val": [f"{100 * row.val_accuracy:.2f}" for row in rows],
        "test": [f"{100 * row.test_accuracy:.2f}" for row in rows],
        "gap": [NOTHING if row.gap is None else f"{100 * row.gap:+z.2f}" for row in rows],
        "parameters": [_parameters(row, teacher=teacher) for row in rows],
        "epochs": [str(row.epochs) for row in rows],
        "seed": [str(row.seed) for row in rows],
        "settings": [row.settings or NOTHING for row in rows],
    }
    idle = {heading for heading in ("alpha", "T", "gap", "settings") if set(every[heading]) <= {NOTHING}}
    idle |= {heading for heading in ("distiller", "seed") if len(set(every[heading]) - {NOTHING}) < 2}
    return {heading: cells for heading, cells in every.items() if heading not in idle}


def units(comparison: Comparison) -> str:
    """Returns what the numbers of a table are, and what all its runs have in common."""
    common = [f"distiller {name}" for name in {row.distiller for row in comparison.rows} - {None}]
    common = common if len(common) == 1 else []
    if len(seeds := {row.seed for row in comparison.rows}) == 1:
        common.append(f"seed {seeds.pop()}")
    parts = ["Accuracies in %"]
    if any(row.gap is not None for row in comparison.rows):
        parts.append("gap to the teacher's test accuracy in percentage points")
    return "; ".join((*parts, *common)) + "."


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def _parameters(row: Row, *, teacher: Row | None) -> str:
    if teacher is None or row is teacher:
        return f"{row.parameters:,}"
    return f"{row.parameters:,} ({100 * row.parameters / teacher.parameters:.1f} %)"
