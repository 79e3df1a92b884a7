"""What arms gain over their baselines, as a forest plot."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import interval_words
from kdflow.analysis.effect import Effect
from kdflow.reports.dots import SMALL, dress, label_lines, mark_off
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.robust import limits
from kdflow.reports.styles import add_legend, blank, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 3.0  # points from the median, within which no end of an interval is off the axis
MOST = 40
"""How many effects are drawn at the most."""


@as_it_comes()
def forest(answer: Answer) -> "Figure":
    """Draws the gain of each arm as a dot, with two intervals: thick over new seeds and images, thin on these images.

    A light band is the margin within which differences count as none. What lies far off ends in an arrow.

    Args:
        answer: Its effects, of which the first are drawn.
    """
    effects = answer.effects[:MOST]
    looks = styles(answer.comparison.rows_by_arm)
    figure = blank(1.5 + 0.36 * len(effects))
    panel = figure.subplots()
    margin = 100 * answer.margin
    ends = [100 * end for effect in effects for end in (*(effect.interval or ()), effect.mean)]
    low, high = limits(ends, floor=FLOOR, always=(-1.5 * margin, 1.5 * margin))
    panel.axvspan(-margin, margin, color="0.92", linewidth=0, zorder=0, label=f"within the margin of {margin:g} points")
    panel.axvline(0, color="0.45", linewidth=1, zorder=1)
    for place, effect in enumerate(effects):
        _draw(panel, effect, looks[effect.arm], place, (low, high))
        told = " ".join((f"{100 * effect.mean:+.2f}", f"({interval_words(effect.interval)})" * bool(effect.interval)))
        panel.text(1.02, place - 0.04, told, transform=panel.get_yaxis_transform(), va="bottom", fontsize=SMALL)
        look: dict[str, Any] = {"va": "top", "fontsize": SMALL, "color": "0.35"}
        panel.text(1.02, place + 0.02, effect.verdict, transform=panel.get_yaxis_transform(), **look)
    panel.set_xlim(low, high)
    panel.set_ylim(len(effects) - 0.4, -0.6)
    label_lines(panel, [looks[effect.arm] for effect in effects])
    dress(panel)
    panel.set_xlabel(f"gain in test accuracy over {baseline_name(answer)}, percentage points")
    _explain(panel, effects)
    add_legend(figure)
    return figure


def baseline_name(answer: Answer) -> str:
    """What the arms are compared with, in words."""
    alphas = {answer.comparison.arms["alpha"].iloc[effect.baseline] for effect in answer.effects}
    if alphas == {1.0}:
        return "alpha = 1"
    baselines = {effect.baseline for effect in answer.effects}
    labels = [style["label"] for style in styles(answer.comparison.rows_by_arm)]
    return labels[baselines.pop()] if len(baselines) == 1 else "its baseline"


def _draw(panel: "Axes", effect: Effect, style: dict[str, Any], place: int, ends: tuple[float, float]) -> None:
    colour = style["color"]
    looks: tuple[dict[str, Any], ...] = ({"linewidth": 7, "alpha": 0.35}, {"linewidth": 1.6})
    for interval, look in zip((effect.interval, effect.block_interval), looks, strict=True):
        if interval is not None:
            low, high = (min(max(100 * end, ends[0]), ends[1]) for end in interval)
            panel.plot([low, high], [place, place], color=colour, solid_capstyle="butt", **look)
    fill = colour if effect.interval else "white"
    if ends[0] <= 100 * effect.mean <= ends[1]:
        panel.plot([100 * effect.mean], [place], "o", color=colour, markerfacecolor=fill, markersize=6.5, zorder=3)
    reached = [100 * effect.mean, *(100 * end for end in effect.interval or ())]
    for is_low, is_off in ((True, min(reached) < ends[0]), (False, max(reached) > ends[1])):
        if is_off:
            mark_off(panel, ends, place, is_low=is_low, color=colour)


def _explain(panel: "Axes", effects: Sequence[Effect]) -> None:
    """Enters into the legend what lines and dots are, in grey, as their colours are those of the arms."""
    if any(effect.interval for effect in effects):
        panel.plot([], [], color="0.4", linewidth=7, alpha=0.35, label="interval over new seeds and new images")
    if any(effect.block_interval for effect in effects):
        panel.plot([], [], color="0.4", linewidth=1.6, label="on these images, over new seeds")
    if not all(effect.interval for effect in effects):
        panel.plot([], [], "o", color="0.4", markerfacecolor="white", label="one pair: no interval")
