"""Names as figures letter them: every letter drawn as it is, none taken for mathematics, no two runs named alike."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from kdflow.analysis.comparison import Comparison, Row
from kdflow.common.text import plain
from kdflow.reports.drawing import as_it_comes


def drawable(text: str, *, longest: int = 48) -> str:
    """Returns `text` as matplotlib draws it letter by letter: one line, not too long, no mathematics.

    What the fonts of the figures have no shape for becomes U+FFFD, rather than a warning for each letter.
    """
    line = plain(text)
    short = line if len(line) <= longest else line[: longest - 1] + "\u2026"
    return "".join(letter if ord(letter) in _shapes() else "\ufffd" for letter in short).replace("$", r"\$")


def wrapped(text: str, width: int) -> str:
    """Returns drawable text in lines of at most `width` letters."""
    return textwrap.fill(text.replace(r"\$", "$"), width).replace("$", r"\$")


def run_labels(rows: Sequence[Row]) -> list[str]:
    """Returns a drawable label for every run; model, seed and run id are added only where labels would coincide."""
    return _distinct(rows, (_model, lambda row: f"seed {row.seed}", lambda row: row.run_id[:8]), drawable)


def arm_labels(rows: Sequence[Row], write: Callable[[str], str] = drawable) -> list[str]:
    """Returns the same for arms, of each one run: model and epochs are added only where labels would coincide.

    Args:
        rows: One of each arm.
        write: Makes text safe for where it is shown.
    """
    return _distinct(rows, (_model, lambda row: f"{row.epochs} epochs"), write)


def arm_names(comparison: Comparison) -> list[str]:
    """Returns the labels of all arms as plain text, for tables."""
    firsts = [rows[0] for rows in comparison.rows_by_arm]
    if comparison.has_seeds:
        return arm_labels(firsts, plain)
    return _distinct(firsts, (_model, lambda row: f"seed {row.seed}", lambda row: row.run_id[:8]), plain)


def _model(row: Row) -> str:
    return row.model if len(row.model) <= 24 else f"{row.model[:23]}\u2026"


def _distinct(rows: Sequence[Row], details: Iterable[Callable[[Row], str]], write: Callable[[str], str]) -> list[str]:
    labels = [write(row.label) for row in rows]
    for detail in details:
        pairs = [(label, write(detail(row))) for label, row in zip(labels, rows, strict=True)]
        kinds = Counter(label for label, _ in set(pairs))
        labels = [f"{label}, {text}" if kinds[label] > 1 else label for label, text in pairs]
    if len(set(labels)) < len(labels):
        labels = [f"{place}. {label}" for place, label in enumerate(labels, 1)]
    return labels


@cache
@as_it_comes()
def _shapes() -> frozenset[int]:
    """The letters that can be drawn both in the bold type of titles and in that of labels."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    covered = []
    for weight in ("normal", "bold"):
        families = [FontProperties(family=[name], weight=weight) for name in FontProperties().get_family()]
        covered.append({code for family in families for code in get_font(findfont(family)).get_charmap()})
    return frozenset(set.intersection(*covered))
