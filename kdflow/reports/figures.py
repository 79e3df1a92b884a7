"""Curves of a comparison or of one run. They need no display and no backend, and leave matplotlib's state alone."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from kdflow.analysis.comparison import Comparison
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.lettering import drawable
from kdflow.reports.styles import BLUE, RED, add_legend, blank, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from kdflow.evaluation.metrics import Metric


@as_it_comes()
def loss_curves(comparison: Comparison) -> "Figure":
    """Draws the training and validation losses of all runs over the epochs, or where there are arms, their means.

    The objective of a run holds the entropy of the teacher's predictions, weighed by 1 - alpha and scaled by the square
    of the temperature. It has another floor for every alpha, so the lower panels add the one loss that compares.

    Args:
        comparison: The runs. Metrics missing from a history are not drawn.

    Returns:
        A line of panels for each title that metrics declare (see `kdflow.evaluation.metrics.Metric.panel`), training
        left and validation right: the objective, the cross-entropy with the labels, and whatever is declared besides.
    """
    lines = _panels()
    means = ": mean over seeds, in a band from lowest to highest" * comparison.has_seeds
    figure = blank(3.8 * len(lines), title=f"Loss on {drawable(comparison.dataset)}{means}")
    arms = list(zip(comparison.rows_by_arm, styles(comparison.rows_by_arm), strict=True))
    epochs = max((len(values) for row in comparison.rows for values in row.history.values()), default=1)
    headings = {"train": "training", "val": _validation(comparison.validation)}
    for part, (note, shown) in zip(figure.subfigures(len(lines), 1, squeeze=False)[:, 0], lines.items(), strict=True):
        part.suptitle(note, fontsize=10, x=0.01, ha="left")
        panels = part.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for panel, metric in zip(panels, shown, strict=True):
            _prepare(panel, title=headings[metric.name.partition("/")[0]], epochs=epochs)
            for rows, style in arms:
                _curve(panel, [row.history.get(metric.name, []) for row in rows], **style)
        panels[0].set_ylabel(shown[0].heading)
        if shown[0].log_scale:
            _make_logarithmic(panels, name=f"{shown[0].heading}, log scale")
    add_legend(figure)
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
def run_curves(title: str, history: Mapping[str, Sequence[float]], *, validation: str = "") -> "Figure":
    """Draws the loss (left) and the accuracy (right) of one run, training and validation, over the epochs.

    Args:
        title: Of the figure, such as the run's name.
        history: Metric name to its values at epochs 1, 2, ...; metrics missing from it are not drawn.
        validation: What was done to validation images; empty if nothing was.
    """
    figure = blank(3.8, title=drawable(title))
    for panel, metric, name, scale in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("loss", "accuracy in %"), (1, 100), strict=True
    ):
        _prepare(panel, title="", epochs=max(map(len, history.values()), default=1))
        splits = (("train", "training", BLUE, "o"), ("val", _validation(validation), RED, "s"))
        for split, label, colour, marker in splits:
            values = [scale * value for value in history.get(f"{split}/{metric}", [])]
            _curve(panel, [values], label=label, color=colour, marker=marker)
        panel.set_ylabel(name)
    add_legend(figure)
    return figure


def _validation(drawn: str) -> str:
    return f"validation ({drawable(drawn)} once)" if drawn else "validation"


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


def _curve(panel: "Axes", histories: Sequence[Sequence[float]], **style: Any) -> None:
    """Draws the values of one run, or the means of several with a band from the lowest to the highest."""
    epochs = list(zip(*filter(None, histories), strict=False))
    if not epochs:
        return
    steps = range(1, len(epochs) + 1)
    panel.plot(steps, list(map(fmean, epochs)), markersize=3.8, linewidth=1.4, **style)
    if len(epochs[0]) > 1:
        lows, highs = list(map(min, epochs)), list(map(max, epochs))
        panel.fill_between(steps, lows, highs, color=style["color"], alpha=0.15, linewidth=0)
