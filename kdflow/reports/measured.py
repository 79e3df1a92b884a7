"""Figures of what is measured of predictions: fidelity to the teacher, calibration, and accuracy against cost."""

import math
from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeGuard

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import DRAWN
from kdflow.reports.dots import draw_dots, label_lines
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.lettering import wrapped
from kdflow.reports.robust import limits
from kdflow.reports.styles import WIDTH, add_legend, blank, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FIDELITY = (
    ("teacher_agreement", "agreement\nwith the teacher in %", 100, 3.0),
    ("teacher_kl", "KL divergence\nfrom the teacher in nats", 1, 0.1),
    ("accuracy_where_teacher_right", "accuracy in % where\nthe teacher is right", 100, 3.0),
    ("accuracy_where_teacher_wrong", "accuracy in % where\nthe teacher is wrong", 100, 3.0),
)
"""Measure, heading, scale, and the distance from the median within which nothing is off the axis."""
COST = (
    ("parameters", "parameters"),
    ("forward_flops", "FLOPs of one image"),
    ("latency_ms", "milliseconds for one image"),
)
DIAGRAMS, COLUMNS = 16, 5


@as_it_comes()
def fidelity_dots(answer: Answer) -> "Figure | None":
    """Draws how near students come to their teachers, a dot a seed; None where it was not measured."""
    measures = answer.measures
    shown = [one for one in FIDELITY if one[0] in measures.columns and measures[one[0]].notna().any()]
    if not shown:
        return None
    by_run = {name: dict(zip(measures["run_id"], measures[name], strict=True)) for name, *_ in shown}
    arms = zip(answer.comparison.rows_by_arm, styles(answer.comparison.rows_by_arm), strict=True)
    students = [arm for arm in arms if arm[0][0].role == "student"][:DRAWN]
    figure = blank(1.1 + 0.42 * len(students))
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    looks = [style for _, style in students]
    for panel, (name, heading, scale, floor) in zip(panels, shown, strict=True):
        found = [[by_run[name].get(row.run_id) for row in rows] for rows, _ in students]
        values = [[scale * float(value) for value in line if _is_number(value)] for line in found]
        write = "{:.1f}".format if scale == 100 else "{:.3f}".format
        draw_dots(panel, values, looks, floor=floor, write=write, ticks=4)
        panel.set_xlabel(heading, fontsize=9)
    label_lines(panels[0], looks)
    return figure


@as_it_comes()
def reliability_diagrams(answer: Answer) -> "Figure | None":
    """Draws accuracy against confidence of each arm, before and after temperature scaling; None without bins."""
    bins = answer.reliability
    looks = styles(answer.comparison.rows_by_arm)
    arms = list(dict.fromkeys(bins["arm"]))[:DIAGRAMS]
    if not arms:
        return None
    lines = math.ceil(len(arms) / COLUMNS)
    columns = math.ceil(len(arms) / lines)
    size = min((WIDTH - 0.4) / columns, 2.3)
    figure = blank(1.0 + (size + 0.3) * lines)
    figure.set_layout_engine("constrained", h_pad=0.1, rect=(0, 0, 1, 1 - 0.12 / figure.get_figheight()))
    grid = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    for panel in grid.flat[len(arms) :]:
        panel.set_visible(False)
    for panel, arm in zip(grid.flat, arms, strict=False):
        _diagram(panel, bins[bins["arm"] == arm], looks[arm])
    for place, panel in enumerate(grid.flat):
        if place < len(arms) <= place + columns:  # the last of its column
            panel.tick_params(labelbottom=True)
            panel.set_xlabel("confidence", fontsize=9)
    for panels in grid:
        panels[0].set_ylabel("accuracy", fontsize=9)
    add_legend(figure)
    return figure


@as_it_comes()
def accuracy_against_cost(answer: Answer) -> "Figure | None":
    """Draws test accuracy, mean and deviation over seeds, against what a model costs; None where nothing is known."""
    arms = answer.comparison.arms
    lines = answer.arm_measures.set_index("arm").reindex(range(len(arms)))
    costs = {"parameters": [float(count) for count in arms["parameters"]]}
    costs |= {name: list(lines[f"{name}_mean"]) for name, _ in COST[1:] if f"{name}_mean" in lines.columns}
    shown = [(costs[name], heading) for name, heading in COST if any(map(_is_number, costs.get(name, ())))]
    if len(arms) < 2:
        return None
    looks = styles(answer.comparison.rows_by_arm)[:DRAWN]
    figure = blank(4.0)
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    means = [100 * mean for mean in arms["test_accuracy_mean"]]
    spreads = [100 * (spread or 0) for spread in arms["test_accuracy_std"]]
    teachers = [mean for mean, role in zip(means, arms["role"], strict=True) if role == "teacher"]
    low, high = limits(means, floor=15.0, always=teachers)
    for panel, (cost, heading) in zip(panels, shown, strict=True):
        for x, mean, spread, look in zip(cost, means, spreads, looks, strict=False):
            if _is_number(x):
                style = {key: value for key, value in look.items() if key != "linestyle"}
                ends = [[min(spread, max(mean - low, 0))], [min(spread, max(high - mean, 0))]]
                panel.errorbar(float(x), mean, yerr=ends if spread else None, linestyle="", elinewidth=1, **style)
        _dress_cost(panel, [float(x) for x in cost if _is_number(x)], heading)
        panel.set_ylim(low, high)
    beyond = (mean - spread < low or mean + spread > high for mean, spread in zip(means, spreads, strict=True))
    off = [look["label"] for is_beyond, look in zip(beyond, looks, strict=False) if is_beyond]
    if off:
        told = wrapped(f"beyond this axis: {'; '.join(off[:3])}", 100 // len(shown))
        panels[0].text(0.98, 0.02, told, transform=panels[0].transAxes, ha="right", fontsize=7.5, color="0.35")
    panels[0].set_ylabel("test accuracy in %")
    add_legend(figure)
    return figure


def _diagram(panel: "Axes", bins: Any, style: dict[str, Any]) -> None:
    panel.plot([0, 1], [0, 1], color="0.7", linewidth=1, zorder=1)
    looks: Sequence[tuple[bool, dict[str, Any]]] = (
        (False, {"color": "0.45", "linestyle": ":", "markerfacecolor": "white", "label": "as trained"}),
        (True, {"color": style["color"], "linestyle": "-", "label": None}),
    )
    for is_scaled, look in looks:
        part = bins[(bins["scaled"] == is_scaled) & (bins["weight"] > 0)]
        panel.plot(part["confidence"], part["accuracy"], marker="o", markersize=3.2, linewidth=1.2, **look)
    panel.plot(
        [], [], "o-", color="0.2", markersize=3.2, linewidth=1.2, label="after temperature scaling (colour of the arm)"
    )
    panel.set_title(wrapped(style["label"], 22), fontsize=8.5)
    panel.set_xlim(0, 1)
    panel.set_ylim(0, 1)
    panel.set_aspect("equal")
    panel.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    panel.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    panel.tick_params(labelsize=8)
    panel.grid(color="0.93")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)


def _dress_cost(panel: "Axes", values: Sequence[float], heading: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.set_xscale("log")
    low, high = min(values), max(values)
    panel.set_xlim(low / 2, high * 2)
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 20 * low else (1,)))
    panel.xaxis.set_major_formatter(FuncFormatter(_short))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(f"{heading}, log scale", fontsize=9)
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    panel.tick_params(labelsize=9)
    panel.spines[["top", "right"]].set_visible(False)


def _short(value: float, _: object = None) -> str:
    """A count as 105k or 3M; what is below a thousand as it is."""
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _is_number(value: Any) -> TypeGuard[Any]:
    return isinstance(value, Real) and math.isfinite(value)
