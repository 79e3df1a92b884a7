"""A comparison as Markdown, CSV, JSON and figures. Text from outside is inert in each of them."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from kdflow.analysis.cells import NAMES, columns
from kdflow.analysis.comparison import FACTS as ROW
from kdflow.analysis.comparison import Comparison
from kdflow.common.text import plain
from kdflow.reports.accuracy import accuracy_bars, accuracy_dots
from kdflow.reports.drawing import png
from kdflow.reports.figures import loss_curves, run_curves

__all__ = [
    "accuracy_bars",
    "accuracy_dots",
    "columns",
    "csv_text",
    "json_text",
    "loss_curves",
    "markdown",
    "png",
    "run_curves",
]

FACTS = ("role", *(fact for fact in ROW if fact not in ("run_id", "role")), "run_id")
"""The columns of a CSV file, before those of further metrics."""


def markdown(comparison: Comparison, *, single: bool = True) -> str:
    """Returns the teacher and its students, or the arms of several seeds, as a pipe table with the footnotes below.

    Args:
        comparison: To show.
        single: Where there are arms, let every single run follow in a second table.
    """
    lines = [
        f"**Accuracy on {markdown_escaped(comparison.dataset)}.** {markdown_escaped(' '.join(comparison.notes))}",
        "",
        *_pipe_table(comparison.cells),
    ]
    if comparison.footnotes:
        lines += ["", *(f"- {_markdown_line(note)}" for note in comparison.footnotes)]
    if comparison.has_seeds and single:
        lines += ["", "**Every run.**", "", *_pipe_table(columns(comparison.runs))]
    return "\n".join(lines) + "\n"


def csv_text(comparison: Comparison) -> str:
    """Returns one line per run: accuracies and gap as fractions, an empty cell for what does not apply.

    Data set and digests stand in every line, so that files of several comparisons can be joined. Footnotes and
    histories have no place here; `json_text` holds them.
    """
    runs = comparison.runs
    facts = [*FACTS, *(name for name in runs.columns if name not in FACTS)]
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*facts, "dataset", "data_digest", "split_digest"))
    common = (comparison.dataset, comparison.data_digest, comparison.split_digest)
    for line in runs[facts].itertuples(index=False, name=None):
        writer.writerow(spreadsheet_safe(value) for value in (*line, *common))
    return stream.getvalue()


def json_text(comparison: Comparison) -> str:
    """Returns the whole comparison, arms and histories included, so that every figure can be drawn again from it."""
    rows = [{**run, "history": comparison.history(run["run_id"])} for run in comparison.runs.to_dict("records")]
    whole = {
        "dataset": comparison.dataset,
        "data_digest": comparison.data_digest,
        "split_digest": comparison.split_digest,
        "rows": rows,
        "footnotes": comparison.footnotes,
        "validation": comparison.validation,
    }
    if comparison.has_seeds:
        whole["arms"] = comparison.arms.to_dict("records")
    text = json.dumps(_json_safe(whole), indent=2, allow_nan=False)
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


def _pipe_table(shown: Mapping[str, Iterable[str]]) -> list[str]:
    return [
        _pipes(shown),
        _pipes(":--" if heading in NAMES else "--:" for heading in shown),
        *(_pipes(map(markdown_escaped, cells)) for cells in zip(*shown.values(), strict=True)),
    ]


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
