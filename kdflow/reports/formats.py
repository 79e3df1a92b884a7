"""An answer as Markdown, CSV, JSON and figures. Text from outside is inert in each of them."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from kdflow.analysis.answer import TABLES, Answer
from kdflow.analysis.comparison import FACTS as ROW
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effect import Effect
from kdflow.common.text import plain
from kdflow.reports import tables
from kdflow.reports.accuracy import accuracy_dots
from kdflow.reports.blocks import WORDS
from kdflow.reports.drawing import pdf, png, svg
from kdflow.reports.figures import loss_curves, run_curves

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = [
    "accuracy_dots",
    "arms_csv",
    "csv_text",
    "json_text",
    "loss_curves",
    "markdown",
    "pdf",
    "png",
    "run_curves",
    "svg",
]

FACTS = ("role", *(fact for fact in ROW if fact not in ("run_id", "role")), "run_id")
"""The columns of a CSV file, before those of further metrics."""
EFFECT = (
    "baseline",
    "gain_pairs",
    "gain",
    "gain_std",
    "gain_low",
    "gain_high",
    "gain_block_low",
    "gain_block_high",
    "level",
    "p_value",
    "wins",
    "verdict",
    "seeds_needed",
    "method",
)
"""The columns of what an arm gains."""


def markdown(answer: Answer, *, whole: bool = True) -> str:
    """Returns the answer, the teacher and its students as a pipe table, and footnotes below.

    Args:
        answer: To tell.
        whole: Let what was measured follow in further tables, and where there are arms of several seeds every run.
    """
    comparison = answer.comparison
    lines = [f"{markdown_escaped(answer.sentence)}\n"] if answer.sentence else []
    lines += [
        f"**Accuracy on {markdown_escaped(comparison.dataset)}.** {markdown_escaped(' '.join(answer.remarks))}",
        "",
        *_pipe_table(answer.cells),
    ]
    if comparison.footnotes:
        lines += ["", *(f"- {_markdown_line(note)}" for note in comparison.footnotes)]
    if not whole:
        return "\n".join(lines) + "\n"
    further = {
        "Epochs until a validation accuracy is reached.": tables.learning(answer),
        "Fidelity to the teacher, on test images.": tables.fidelity(answer),
        "Calibration, on test images.": tables.calibration(answer),
        "Calibration after temperature scaling.": tables.scaled_calibration(answer),
        "Cost.": tables.cost(answer),
        "Every run.": tables.every_run(answer) if comparison.has_seeds else {},
    }
    for title, shown in further.items():
        if shown:
            lines += ["", f"**{title}**", "", *_pipe_table(shown)]
    return "\n".join(lines) + "\n"


def csv_text(comparison: Comparison) -> str:
    """Returns one line per run: accuracies and gap as fractions, an empty cell for what does not apply.

    Data set and digests stand in every line, so that files of several comparisons can be joined. Footnotes and
    histories have no place here; `json_text` holds them.
    """
    runs = comparison.runs
    facts = [*FACTS, *(name for name in runs.columns if name not in FACTS)]
    return _csv(facts, runs[facts].itertuples(index=False, name=None), comparison)


def arms_csv(answer: Answer) -> str:
    """Returns one line per arm: means and deviations as fractions, what it gains, and what was measured."""
    arms, by_arm = answer.comparison.arms, {effect.arm: effect for effect in answer.effects}
    measures = answer.arm_measures.set_index("arm")
    measured = [name for name in measures.columns if name not in arms.columns]
    values = dict(zip(measures.index, measures[measured].itertuples(index=False, name=None), strict=True))
    nothing = (None,) * len(measured)
    lines = (
        (number, *line, *_effect_cells(by_arm.get(number)), *values.get(number, nothing))
        for number, line in enumerate(arms.itertuples(index=False, name=None))
    )
    return _csv(["arm", *arms.columns, *EFFECT, *measured], lines, answer.comparison)


def _effect_cells(effect: Effect | None) -> Sequence[object]:
    if effect is None:
        return (None,) * len(EFFECT)
    intervals = (*(effect.interval or (None, None)), *(effect.block_interval or (None, None)))
    return (
        effect.baseline,
        len(effect.seeds),
        effect.mean,
        effect.deviation,
        *intervals,
        effect.level,
        effect.p_value,
        effect.wins,
        effect.verdict,
        effect.seeds_needed,
        effect.method,
    )


def _csv(headings: Sequence[str], lines: Iterable[Sequence[object]], comparison: Comparison) -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow((*headings, "dataset", "data_digest", "split_digest"))
    common = (comparison.dataset, comparison.data_digest, comparison.split_digest)
    for line in lines:
        writer.writerow(spreadsheet_safe(value) for value in (*line, *common))
    return stream.getvalue()


def json_text(answer: Answer) -> str:
    """Returns the whole answer, arms and histories included, so that every figure can be drawn again from it.

    Test images are left out: they are those of the data set, at the places that partings name.
    """
    comparison = answer.comparison
    rows = [{**run, "history": comparison.history(run["run_id"])} for run in comparison.runs.to_dict("records")]
    whole: dict[str, Any] = {
        "dataset": comparison.dataset,
        "data_digest": comparison.data_digest,
        "split_digest": comparison.split_digest,
        "rows": rows,
        "footnotes": comparison.footnotes,
        "validation": comparison.validation,
    }
    if comparison.has_seeds:
        whole["arms"] = comparison.arms.to_dict("records")
    if answer.effects or answer.sentence:
        whole["answer"] = _told(answer)
    text = json.dumps(_json_safe(whole), indent=2, allow_nan=False)
    # Inside strings, the only place where it stands, this is the same character; a script tag it no longer is.
    return text.replace("<", "\\u003c") + "\n"


def _told(answer: Answer) -> dict[str, Any]:
    frames: dict[str, DataFrame] = {name: getattr(answer, name) for name in TABLES}
    return {
        "sentence": answer.sentence,
        "notes": answer.notes,
        "margin": answer.margin,
        "seed_agreement": answer.seed_agreement,
        "effects": list(map(vars, answer.effects)),
        **{name: frame.to_dict("records") for name, frame in frames.items()},
        "confusion": {str(arm): shares.tolist() for arm, shares in answer.confusion.items()},
        "partings": [
            {field.name: getattr(parting, field.name) for field in fields(parting) if field.name != "image"}
            for parting in answer.partings
        ],
        "provenance": vars(answer.provenance),
    }


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
    if isinstance(value, Mapping):
        return {_json_safe(key): _json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_safe(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"[\ud800-\udfff]", "\ufffd", value)
    if hasattr(value, "item"):  # a number of numpy
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _markdown_line(text: str) -> str:
    """Returns `text` as a line of its own, which is no list, no rule and no heading."""
    return re.sub(r"^(\d*)([-+.)=:])", r"\1\\\2", markdown_escaped(text))


def _pipe_table(shown: Mapping[str, Iterable[str]]) -> list[str]:
    return [
        _pipes(map(markdown_escaped, shown)),
        _pipes(":--" if heading in WORDS else "--:" for heading in shown),
        *(_pipes(map(markdown_escaped, cells)) for cells in zip(*shown.values(), strict=True)),
    ]


def _pipes(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
