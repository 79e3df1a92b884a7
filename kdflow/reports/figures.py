"""Curves of a comparison or of one run. They need no display and no backend, and leave matplotlib's state alone."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.lettering import drawable
from kdflow.reports.panels import curve, limit, make_logarithmic, named_runs, prepare
from kdflow.reports.styles import BLUE, RED, add_legend, blank, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from kdflow.evaluation.metrics import Metric


DECADES, NATS = 1.5, 1.0  # from the median of an epoch, within which no value is off the axis


@as_it_comes()
def loss_curves(comparison: Comparison, *, titled: bool = True) -> "Figure":
    """Draws the training and validation losses of all runs over the epochs, or where there are arms, their means.

    The objective of a run holds the entropy of the teacher's predictions, weighed by 1 - alpha and scaled by the square
    of the temperature. It has another floor for every alpha, so the lower panels add the one loss that compares.

    Args:
        comparison: The runs. Metrics missing from a history are not drawn.
        titled: Whether it says above what it is, for where nothing else does.

    Returns:
        A line of panels for each title that metrics declare (see `kdflow.evaluation.metrics.Metric.panel`), training
        left and validation right: the objective, the cross-entropy with the labels, the divergence from the teacher,
        and whatever is declared besides, as far as any run has it.
    """
    lines = _panels()
    means = ": mean over seeds, in a band from lowest to highest" * comparison.has_seeds
    lines = {note: shown for note, shown in lines.items() if _are_known(shown, comparison)} or dict(
        [*lines.items()][:1]
    )
    figure = blank(3.8 * len(lines), title=f"Loss on {drawable(comparison.dataset)}{means}" if titled else "")
    arms = list(zip(comparison.rows_by_arm, styles(comparison.rows_by_arm), strict=True))
    epochs = max((len(values) for row in comparison.rows for values in row.history.values()), default=1)
    headings = {"train": "training", "val": validation_heading(comparison.validation)}
    for part, (note, shown) in zip(figure.subfigures(len(lines), 1, squeeze=False)[:, 0], lines.items(), strict=True):
        part.suptitle(note, fontsize=10, x=0.01, ha="left")
        panels = part.subplots(1, len(shown), sharex=True, sharey=True, squeeze=False)[0]
        for panel, metric in zip(panels, shown, strict=True):
            prepare(panel, title=headings[metric.name.partition("/")[0]], epochs=epochs)
            for rows, style in arms:
                curve(panel, _histories(rows, metric), **style)
        panels[0].set_ylabel(shown[0].heading)
        if shown[0].log_scale:
            make_logarithmic(panels, name=f"{shown[0].heading}, log scale")
        runs = [
            [run for rows, style in arms for run in named_runs(rows, style["label"], _histories(rows, metric))]
            for metric in shown
        ]
        limit(panels, runs, floor=DECADES if shown[0].log_scale else NATS)
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


def _are_known(shown: "Sequence[Metric]", comparison: Comparison) -> bool:
    return any(metric.name in row.history for row in comparison.rows for metric in shown)


def _histories(rows: Sequence[Row], metric: "Metric") -> list[list[float]]:
    return [row.history.get(metric.name, []) for row in rows]


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
        prepare(panel, title="", epochs=max(map(len, history.values()), default=1))
        splits = (("train", "training", BLUE, "o"), ("val", validation_heading(validation), RED, "s"))
        for split, label, colour, marker in splits:
            values = [scale * value for value in history.get(f"{split}/{metric}", [])]
            curve(panel, [values], label=label, color=colour, marker=marker)
        panel.set_ylabel(name)
    add_legend(figure)
    return figure


def validation_heading(drawn: str) -> str:
    """Returns "validation", with what was done to its images."""
    return f"validation ({drawable(drawn)} once)" if drawn else "validation"
