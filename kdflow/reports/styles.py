"""What the figures of a comparison have in common: size, colours, line styles and legend."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kdflow.analysis.comparison import Row
from kdflow.reports.lettering import arm_labels, run_labels, wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Red, yellow and blue are Paul Tol's high-contrast scheme: distinct to colour-blind readers and in greyscale print.
RED, YELLOW, BLUE, GREY = "#bb5566", "#ddaa33", "#004488", "#4d4d4d"
ALPHA_COLOURS = (RED, "#ee7733", YELLOW, "#33aaaa", BLUE)  # at alpha = 0, 0.25, 0.5, 0.75 and 1
LINE_STYLES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX"
WIDTH = 9.0  # inches; 900 pixels at 100 dots per inch


def styles(arms: Sequence[Sequence[Row]]) -> list[dict[str, Any]]:
    """Returns label, colour (alpha), line style (temperature) and marker (model and distiller) for every arm.

    Args:
        arms: The runs of each, or each run by itself.
    """
    rows = [arm[0] for arm in arms]
    labels = arm_labels(rows) if any(len(arm) > 1 for arm in arms) else run_labels(rows)
    temperatures = [None, *sorted({row.temperature for row in rows if row.temperature is not None})]
    methods = list(dict.fromkeys((row.model, row.distiller) for row in rows))
    return [
        {
            "label": label,
            "color": alpha_colour(row.alpha),
            "linestyle": LINE_STYLES[max(temperatures.index(row.temperature) - 1, 0) % len(LINE_STYLES)],
            "markerfacecolor": "white" if temperatures.index(row.temperature) > 1 else alpha_colour(row.alpha),
            "marker": MARKERS[methods.index((row.model, row.distiller)) % len(MARKERS)],
        }
        for row, label in zip(rows, labels, strict=True)
    ]


def alpha_colour(alpha: float | None) -> str:
    """Returns the colour of a run of that alpha, such as "#004488"; of a teacher, which has none, grey."""
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    return GREY if alpha is None else to_hex(LinearSegmentedColormap.from_list("alpha", ALPHA_COLOURS, N=1001)(alpha))


def blank(height: float, *, title: str = "") -> "Figure":
    """An empty figure of so many inches."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    if title:
        figure.suptitle(title, fontsize=13, fontweight="bold")
    return figure


def add_legend(figure: "Figure") -> None:
    """Puts one legend for all panels below them, and makes the figure higher by what a long one takes."""
    entries = {
        label: handle for panel in figure.axes for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    if entries:
        labels = [wrapped(label, 60) for label in entries]
        columns = max(1, min(len(labels), 105 // (max(map(len, labels)) + 8)))
        lines = sum(label.count("\n") + 1 for label in labels) / columns
        figure.set_figheight(figure.get_figheight() + 0.23 * max(lines - 4, 0))
        figure.legend(entries.values(), labels, loc="outside lower center", ncols=columns, frameon=False)
