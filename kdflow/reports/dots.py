"""Lines of dots, one line an arm and one dot a seed, with the mean and its interval: on an axis that shows a point."""

import math
from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from kdflow.reports.lettering import wrapped
from kdflow.reports.robust import limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL = 30  # letters of a line of a label
SMALL = 8.0


def draw_dots(
    panel: "Axes",
    arms: Sequence[Sequence[float]],
    styles: Sequence[dict[str, Any]],
    *,
    floor: float,
    write: Callable[[float], str] = "{:.2f}".format,
    ticks: int = 6,
) -> None:
    """Draws a line for each arm.

    Args:
        panel: Without anything in it.
        arms: Of each the values of its seeds.
        styles: See `kdflow.reports.styles.styles`.
        floor: Distance from the median of all values within which none is off the axis.
        write: How a value is written.
        ticks: How many the axis has at the most.
    """
    intervals = [t_interval(values) for values in arms]
    ends = [end for interval in intervals if interval for end in interval]
    low, high = limits([value for values in arms for value in values] + ends, floor=floor, margin=0.12)
    for place, (values, interval, style) in enumerate(zip(arms, intervals, styles, strict=True)):
        colour = style["color"]
        shown = [value for value in values if low <= value <= high]
        opacity = 0.45 if len(values) > 1 else 1.0
        panel.plot(shown, [place] * len(shown), "o", color=colour, alpha=opacity, markersize=5, markeredgewidth=0)
        finite = [value for value in values if math.isfinite(value)]
        mean = fmean(finite) if finite else math.nan
        if low <= mean <= high:
            panel.text(mean, place - 0.27, write(mean), ha="center", va="bottom", fontsize=SMALL)
        if low <= mean <= high and len(values) > 1:
            panel.plot([mean, mean], [place - 0.24, place + 0.24], color=colour, linewidth=1.8)
            if interval:
                panel.hlines(place, max(interval[0], low), min(interval[1], high), color=colour, linewidth=1.3)
        off = [value for value in values if not low <= value <= high]
        told = f"{_listed(off, write)}{f'; mean {write(mean)}' if len(values) > 1 and not low <= mean <= high else ''}"
        if off:
            mark_off(panel, (low, high), place, is_low=not off[0] > high, text=told, color=colour)
    panel.set_xlim(low, high)
    panel.set_ylim(len(arms) - 0.45, -0.8)
    dress(panel, ticks=ticks)


def dress(panel: "Axes", *, ticks: int = 6) -> None:
    """A panel of lines of arms: a light grid, and no frame but the axis below."""
    panel.grid(axis="x", color="0.9")
    panel.set_axisbelow(True)
    panel.tick_params(axis="y", length=0)
    panel.tick_params(axis="x", labelsize=9)
    panel.locator_params(axis="x", nbins=ticks)
    panel.spines[["top", "right", "left"]].set_visible(False)


def label_lines(panel: "Axes", styles: Sequence[dict[str, Any]]) -> None:
    """Writes the name of each arm beside its line."""
    panel.set_yticks(range(len(styles)), [wrapped(style["label"], LABEL) for style in styles], fontsize=9)


def t_interval(values: Sequence[float], *, level: float = 0.95) -> tuple[float, float] | None:
    """Returns Student's interval of the mean over seeds; None for fewer than two values.

    Args:
        values: One a seed.
        level: Confidence.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return None
    from kdflow.analysis.intervals import t_quantile

    half = t_quantile(len(values) - 1, (1 - level) / 2) * stdev(values) / math.sqrt(len(values))
    return fmean(values) - half, fmean(values) + half


def mark_off(
    panel: "Axes", ends: tuple[float, float], place: float, *, is_low: bool, color: str, text: str = ""
) -> None:
    """Marks at the edge that a line goes on beyond the axis.

    Args:
        panel: In which it lies.
        ends: Of its axis.
        place: Of the line.
        is_low: Whether it goes on at the lower end.
        color: Of the line.
        text: What lies there.
    """
    inwards = 0.008 * (ends[1] - ends[0]) * (1 if is_low else -1)
    edge = ends[0] + inwards if is_low else ends[1] + inwards
    panel.plot([edge], [place], "<" if is_low else ">", color=color, markersize=6.5, zorder=4)
    if text:
        side = "left" if is_low else "right"
        panel.text(edge + 1.5 * inwards, place - 0.1, text, ha=side, va="bottom", fontsize=SMALL)


def _listed(values: Sequence[float], write: Callable[[float], str]) -> str:
    shown = sorted(values)
    return ", ".join(map(write, shown[:3])) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
