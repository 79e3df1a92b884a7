"""A small comparison for the tests of tables and figures, and how to look at both."""

import io
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from rich.console import Console

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.terminal import Shown

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
FACTS = {"dataset": "cifar10", "data_digest": "sha256:aa", "split_digest": "sha256:bb", "footnotes": ("One left out.",)}
STUDY = Comparison.of((TEACHER, LABELS_ONLY, MIXED, TEACHER_ONLY), **FACTS)
EMPTY = Comparison.of((), **FACTS | {"footnotes": ()})


def seeded(row: Row, *accuracies: float) -> list[Row]:
    """The same run of seeds 0, 1, ..., each with its test accuracy."""
    return [
        replace(row, run_id=f"{row.run_id[0]}{seed}" * 16, seed=seed, test_accuracy=accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]


TEACHERS, LABELS, MIXES = (
    seeded(TEACHER, 0.81, 0.82, 0.83),
    seeded(LABELS_ONLY, 0.70, 0.72, 0.74),
    seeded(MIXED, 0.73, 0.74, 0.78),
)
GRID = Comparison.of(
    (*TEACHERS, *LABELS, *MIXES),
    **FACTS,
    baselines={ours.run_id: theirs.run_id for ours, theirs in zip(MIXES, LABELS, strict=True)},
)
"""Three arms of three seeds."""


def with_rows(comparison: Comparison, rows: Iterable[Row], **facts: Any) -> Comparison:
    """The comparison with other runs; those that share an id with one before get another."""
    known: dict[str, Row] = {}
    for place, row in enumerate(rows):
        run_id = row.run_id if row.run_id not in known else f"{place:032x}"
        known[run_id] = replace(row, run_id=run_id)
    other = Comparison.of(known.values(), **FACTS)
    return replace(comparison, runs=other.runs, curves=other.curves, **facts)


def printed(shown: Comparison | Answer, *, width: int = 200) -> str:
    """The answer, or that of a comparison alone, as a terminal shows it, without codes of bold and italics."""
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    console.print(Shown(shown if isinstance(shown, Answer) else Answer.of(shown)))
    return re.sub(r"\x1b\[\d?(;\d)*m", "", stream.getvalue())


def legend(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=40)
    return stream.getvalue()
