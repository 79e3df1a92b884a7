"""Names as figures letter them: every letter drawn as it is, none taken for mathematics, no two runs named alike."""

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache

from kdflow.analysis.comparison import Row
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
    return _distinct(rows, (_model, lambda row: f"seed {row.seed}", lambda row: drawable(row.run_id[:8])))


def arm_labels(rows: Sequence[Row]) -> list[str]:
    """Returns the same for arms, of each one run: model and epochs are added only where labels would coincide."""
    return _distinct(rows, (_model, lambda row: f"{row.epochs} epochs"))


def _model(row: Row) -> str:
    return drawable(row.model, longest=24)


def _distinct(rows: Sequence[Row], details: Iterable[Callable[[Row], str]]) -> list[str]:
    labels = [drawable(row.label) for row in rows]
    for detail in details:
        pairs = [(label, detail(row)) for label, row in zip(labels, rows, strict=True)]
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
