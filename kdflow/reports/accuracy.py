"""Figures of final accuracies: bars for single runs, a dot a seed for arms of several."""

import math
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kdflow.analysis.cells import validation_note
from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.lettering import drawable, wrapped
from kdflow.reports.styles import GREY, add_legend, blank, styles, tint

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SPLITS = ("train", "validation", "test")


@as_it_comes()
def accuracy_bars(comparison: Comparison) -> "Figure":
    """Draws the final accuracies of all runs as bars from 0 to 100 %, with the teacher's test accuracy as a line."""
    count = len(comparison.rows)
    figure = blank(1.6 + 0.85 * max(count, 1), title=f"Final accuracy on {drawable(comparison.dataset)}")
    panel = figure.subplots()
    looks = styles([(row,) for row in comparison.rows])
    for place, (row, style) in enumerate(zip(comparison.rows, looks, strict=True)):
        for offset, strength, split, accuracy in zip(
            (-1, 0, 1), (0.3, 0.6, 1.0), SPLITS, _accuracies(row), strict=True
        ):
            _bar(panel, 100 * accuracy, y=place + 0.28 * offset, colour=tint(style["color"], strength), name=split)
        if row.role == "teacher":
            line = panel.axvline(100 * row.test_accuracy, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
            line.set_label("test accuracy of the teacher")
    panel.set_yticks(range(count), [wrapped(style["label"], 28) for style in looks])
    panel.set_ylim(max(count, 1) - 0.45, -0.55)
    panel.set_xlim(0, 100)
    note = [validation_note(drawable(comparison.validation))] if comparison.validation else []
    panel.set_xlabel("\n".join(("accuracy in %", *note)))
    panel.grid(axis="x", color="0.9", zorder=0)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    add_legend(figure)
    return figure


@as_it_comes()
def accuracy_dots(comparison: Comparison) -> "Figure":
    """Draws the final accuracies of all arms, a dot a seed and a line at their mean, one column of panels a split.

    Teachers and students have scales of their own, as what lies between them would flatten what lies within.
    """
    arms = list(zip(comparison.rows_by_arm, styles(comparison.rows_by_arm), strict=True))
    parts = [[arm for arm in arms if (arm[0][0].role == "teacher") == of_teachers] for of_teachers in (True, False)]
    parts = [part for part in parts if part]
    title = f"Final accuracy on {drawable(comparison.dataset)}: a dot a seed, a line at the mean"
    figure = blank(1.4 + 0.45 * len(arms) + 0.4 * len(parts), title=title)
    grid = figure.subplots(
        len(parts), 3, sharey="row", squeeze=False, height_ratios=[len(part) + 0.3 for part in parts]
    )
    for part, panels in zip(parts, grid, strict=True):
        for number, panel in enumerate(panels):
            for place, (rows, style) in enumerate(part):
                _dots(panel, [100 * _accuracies(row)[number] for row in rows], y=place, colour=style["color"])
            panel.margins(x=0.15)
            panel.grid(axis="x", color="0.9")
            panel.set_axisbelow(True)
            panel.tick_params(axis="y", length=0)
            panel.tick_params(axis="x", labelsize=9)
            panel.spines[["top", "right", "left"]].set_visible(False)
        panels[0].set_yticks(range(len(part)), [wrapped(style["label"], 28) for _, style in part])
        panels[0].set_ylim(len(part) - 0.45, -0.75)
    for panel, split in zip(grid[0], SPLITS, strict=True):
        panel.set_title(split, fontsize=10)
    note = [validation_note(drawable(comparison.validation))] if comparison.validation else []
    figure.supxlabel("\n".join(("accuracy in %", *note)), fontsize=10)
    return figure


def _accuracies(row: Row) -> tuple[float, float, float]:
    return row.train_accuracy, row.val_accuracy, row.test_accuracy


def _dots(panel: "Axes", percents: list[float], *, y: int, colour: str) -> None:
    mean = fmean(percents)
    panel.plot(percents, [y] * len(percents), "o", color=colour, alpha=0.45, markersize=5, markeredgewidth=0)
    panel.plot([mean, mean], [y - 0.22, y + 0.22], color=colour, linewidth=1.8)
    panel.text(mean, y - 0.26, f"{mean:.2f}", ha="center", va="bottom", fontsize=8)


def _bar(panel: "Axes", percent: float, *, y: float, colour: tuple[float, float, float], name: str) -> None:
    """Draws one bar with its split and value inside, or beside it where it is too short to hold them."""
    panel.barh(y, percent, height=0.26, color=colour, zorder=2)
    red, green, blue = colour
    ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
    look: dict[str, Any] = {"va": "center_baseline", "fontsize": 8.5, "zorder": 3}
    if math.isfinite(percent) and percent >= 25:
        panel.text(0.7, y, name, color=ink, **look)
        panel.text(percent - 0.7, y, f"{percent:.2f}", color=ink, ha="right", **look)
    else:
        panel.text((percent if math.isfinite(percent) else 0) + 0.7, y, f"{name} {percent:.2f}", color="black", **look)
