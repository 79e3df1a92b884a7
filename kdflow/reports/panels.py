"""Panels of curves over epochs: for each arm the mean over its seeds, in a band from the lowest to the highest."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kdflow.analysis.comparison import Row
from kdflow.reports.robust import curve_limits

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curves = Sequence[Sequence[float]]
"""Of each run its values at epochs 1, 2, ...; nothing where none were kept."""


def prepare(panel: "Axes", *, title: str, epochs: int) -> None:
    """An empty panel over so many epochs."""
    from matplotlib.ticker import MaxNLocator

    panel.set_title(title, fontsize=10)
    panel.set_xlabel("epoch")
    panel.set_xlim(0.5, max(epochs, 1) + 0.5)
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    panel.tick_params(labelsize=9, labelleft=True)


def make_logarithmic(panels: "Sequence[Axes]", *, name: str) -> None:
    """Gives panels that share an axis a logarithmic one."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    panels[0].set_ylabel(name)
    for panel in panels:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7), numticks=9))
        panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.yaxis.set_minor_locator(NullLocator())


def curve(panel: "Axes", curves: Curves, *, band: float = 0.15, **style: Any) -> None:
    """Draws the values of one run, or the means of several with a band from the lowest to the highest.

    Args:
        panel: Where it is drawn.
        curves: Of the runs of an arm.
        band: Opacity of the band.
        style: See `kdflow.reports.styles.styles`.
    """
    epochs = [
        [value if math.isfinite(value) else math.nan for value in values]
        for values in zip(*filter(None, curves), strict=False)
    ]
    if not epochs:
        return
    steps = range(1, len(epochs) + 1)
    often = max(1, len(epochs) // 12)
    panel.plot(steps, list(map(fmean, epochs)), markersize=3.8, linewidth=1.4, markevery=often, **style)
    if len(epochs[0]) > 1:
        lows, highs = list(map(min, epochs)), list(map(max, epochs))
        panel.fill_between(steps, lows, highs, color=style["color"], alpha=band, linewidth=0)


def limit(
    panels: "Sequence[Axes]",
    drawn: Sequence[Sequence[tuple[str, Sequence[float]]]],
    *,
    floor: float,
    at: str = "top",
) -> None:
    """Gives panels that share an axis the ends that no outlier decides, and says in each which runs go beyond them.

    Args:
        panels: Which share an axis.
        drawn: Of each panel the runs: name and values.
        floor: Distance from the median of an epoch within which no value is an outlier; of logarithms to base 10 on a
            logarithmic axis.
        at: Where the panels have room to say so: "top" or "bottom".
    """
    is_log = panels[0].get_yscale() == "log"
    every = [[_log10(value) if is_log else value for value in values] for runs in drawn for _, values in runs]
    if not any(every):
        return
    low, high = curve_limits(every, floor=floor)
    low, high = (10.0**low, 10.0**high) if is_log else (low, high)
    for panel, runs in zip(panels, drawn, strict=True):
        panel.set_ylim(low, high)
        beyond = [name for name, values in runs if not all(low <= value <= high for value in values)]
        if beyond:
            told = "; ".join(beyond[:2]) + (f" and {len(beyond) - 2} more" if len(beyond) > 2 else "")
            look: dict[str, Any] = {"ha": "right", "va": at, "fontsize": 7.5, "color": "0.35", "zorder": 5}
            panel.text(
                0.99, 0.98 if at == "top" else 0.02, f"beyond this axis: {told}", transform=panel.transAxes, **look
            )


def named_runs(rows: Sequence[Row], label: str, curves: Curves) -> list[tuple[str, Sequence[float]]]:
    """Returns the runs of an arm as `limit` takes them.

    Args:
        rows: The runs.
        label: Of the arm.
        curves: Of each run.
    """
    several = len(rows) > 1
    names = [f"{label}, seed {row.seed}" if several else label for row in rows]
    return list(zip(names, curves, strict=True))


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 and math.isfinite(value) else math.nan
