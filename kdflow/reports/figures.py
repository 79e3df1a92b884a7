"""Figures of a comparison or of one run. They need no display and no backend, and leave matplotlib's state alone."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kdflow.analysis.cells import validation_note
from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.drawing import as_it_comes, png
from kdflow.reports.lettering import drawable, run_labels, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kdflow.evaluation.metrics import Metric

__all__ = ["accuracy_bars", "loss_curves", "png", "run_curves"]

# Red, yellow and blue are Paul Tol's high-contrast scheme: distinct to colour-blind readers and in greyscale print.
RED, YELLOW, BLUE, GREY = "#bb5566", "#ddaa33", "#004488", "#4d4d4d"
ALPHA_COLOURS = (RED, "#ee7733", YELLOW, "#33aaaa", BLUE)  # at alpha = 0, 0.25, 0.5, 0.75 and 1
LINE_STYLES = ("-", "--", ":", "-.")
MARKERS = "osD^vPX"
SPLITS = ("train", "validation", "test")
WIDTH = 9.0  # inches; 900 pixels at 100 dots per inch


@as_it_comes()
def loss_curves(comparison: Comparison) -> "Figure":
    """Draws the training and validation losses of all runs over the epochs.

    The objective of a run holds the entropy of the teacher's predictions, weighed by 1 - alpha and scaled by the square
    of the temperature. It has another floor for every alpha, so the lower panels add the one loss that compares.

    Args:
        comparison: The runs. Metrics missing from a history are not drawn.

    Returns:
        A line of panels for each title that metrics declare (see `kdflow.evaluation.metrics.Metric.panel`), training
        left and validation right: the objective, the cross-entropy with the labels, and whatever is declared besides.
    """
    lines = _panels()
    figure = _figure(3.8 * len(lines), title=f"Loss on {drawable(comparison.dataset)}")
    styles = _styles(comparison.rows)
    epochs = max((len(values) for row in comparison.rows for values in row.history.values()), default=1)
    headings = {"train": "training", "val": _validation(comparison.validation)}
    for part, (note, shown) in zip(figure.subfigures(len(lines), 1, squeeze=False)[:, 0], lines.items(), strict=True):
        part.suptitle(note, fontsize=10, x=0.01, ha="left")
        panels = part.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for panel, metric in zip(panels, shown, strict=True):
            _prepare(panel, title=headings[metric.name.partition("/")[0]], epochs=epochs)
            for row, style in zip(comparison.rows, styles, strict=True):
                _curve(panel, row.history.get(metric.name, []), **style)
        panels[0].set_ylabel(shown[0].heading)
        if shown[0].log_scale:
            _make_logarithmic(panels, name=f"{shown[0].heading}, log scale")
    _legend(figure)
    return figure


def _panels() -> "dict[str, list[Metric]]":
    """The metrics that are drawn, by the title of their panels."""
    from kdflow.evaluation.metrics import metrics

    lines: dict[str, list[Metric]] = {}
    for name in metrics:
        if metrics[name].panel:
            lines.setdefault(metrics[name].panel, []).append(metrics[name])
    return lines


@as_it_comes()
def accuracy_bars(comparison: Comparison) -> "Figure":
    """Draws the final accuracies of all runs as bars from 0 to 100 %, with the teacher's test accuracy as a line."""
    count = len(comparison.rows)
    figure = _figure(1.6 + 0.85 * max(count, 1), title=f"Final accuracy on {drawable(comparison.dataset)}")
    panel = figure.subplots()
    styles = _styles(comparison.rows)
    for place, (row, style) in enumerate(zip(comparison.rows, styles, strict=True)):
        accuracies = (row.train_accuracy, row.val_accuracy, row.test_accuracy)
        for offset, strength, split, accuracy in zip((-1, 0, 1), (0.3, 0.6, 1.0), SPLITS, accuracies, strict=True):
            _bar(panel, 100 * accuracy, y=place + 0.28 * offset, colour=_tint(style["color"], strength), name=split)
        if row.role == "teacher":
            line = panel.axvline(100 * row.test_accuracy, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
            line.set_label("test accuracy of the teacher")
    panel.set_yticks(range(count), [wrapped(style["label"], 28) for style in styles])
    panel.set_ylim(max(count, 1) - 0.45, -0.55)
    panel.set_xlim(0, 100)
    note = [validation_note(drawable(comparison.validation))] if comparison.validation else []
    panel.set_xlabel("\n".join(("accuracy in %", *note)))
    panel.grid(axis="x", color="0.9", zorder=0)
    panel.tick_params(axis="y", length=0)
    panel.spines[["top", "right", "left"]].set_visible(False)
    _legend(figure)
    return figure


@as_it_comes()
def run_curves(title: str, history: Mapping[str, Sequence[float]], *, validation: str = "") -> "Figure":
    """Draws the loss (left) and the accuracy (right) of one run, training and validation, over the epochs.

    Args:
        title: Of the figure, such as the run's name.
        history: Metric name to its values at epochs 1, 2, ...; metrics missing from it are not drawn.
        validation: What was done to validation images; empty if nothing was.
    """
    figure = _figure(3.8, title=drawable(title))
    for panel, metric, name, scale in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("loss", "accuracy in %"), (1, 100), strict=True
    ):
        _prepare(panel, title="", epochs=max(map(len, history.values()), default=1))
        splits = (("train", "training", BLUE, "o"), ("val", _validation(validation), RED, "s"))
        for split, label, colour, marker in splits:
            values = [scale * value for value in history.get(f"{split}/{metric}", [])]
            _curve(panel, values, label=label, color=colour, marker=marker)
        panel.set_ylabel(name)
    _legend(figure)
    return figure


def _validation(drawn: str) -> str:
    return f"validation ({drawable(drawn)} once)" if drawn else "validation"


def _styles(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns label, colour (alpha), line style (temperature) and marker (model and distiller) for every run."""
    temperatures = [None, *sorted({row.temperature for row in rows if row.temperature is not None})]
    methods = list(dict.fromkeys((row.model, row.distiller) for row in rows))
    return [
        {
            "label": label,
            "color": _colour(row.alpha),
            "linestyle": LINE_STYLES[max(temperatures.index(row.temperature) - 1, 0) % len(LINE_STYLES)],
            "markerfacecolor": "white" if temperatures.index(row.temperature) > 1 else _colour(row.alpha),
            "marker": MARKERS[methods.index((row.model, row.distiller)) % len(MARKERS)],
        }
        for row, label in zip(rows, run_labels(rows), strict=True)
    ]


def _colour(alpha: float | None) -> str:
    from matplotlib.colors import LinearSegmentedColormap, to_hex

    return GREY if alpha is None else to_hex(LinearSegmentedColormap.from_list("alpha", ALPHA_COLOURS, N=1001)(alpha))


def _tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Returns `colour` mixed with white; a strength of 1 leaves it as it is."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - strength * (1 - part) for part in to_rgb(colour))
    return red, green, blue


def _figure(height: float, *, title: str) -> "Figure":
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH, height), dpi=150, layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.06))
    figure.suptitle(title, fontsize=13, fontweight="bold")
    return figure


def _prepare(panel: "Axes", *, title: str, epochs: int) -> None:
    from matplotlib.ticker import MaxNLocator

    panel.set_title(title, fontsize=10)
    panel.set_xlabel("epoch")
    panel.set_xlim(0.5, max(epochs, 1) + 0.5)
    panel.grid(color="0.9")
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    panel.tick_params(labelsize=9, labelleft=True)


def _make_logarithmic(panels: "Sequence[Axes]", *, name: str) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullLocator

    panels[0].set_ylabel(name)
    for panel in panels:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        panel.yaxis.set_minor_locator(NullLocator())


def _curve(panel: "Axes", values: Sequence[float], **style: Any) -> None:
    if values:
        panel.plot(range(1, len(values) + 1), values, markersize=3.8, linewidth=1.4, **style)


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


def _legend(figure: "Figure") -> None:
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
