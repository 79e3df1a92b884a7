"""How fast students learn: accuracy over epochs, and how far it is ahead of alpha = 1."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.panels import curve, limit, named_runs, prepare
from kdflow.reports.styles import GREY, add_legend, blank, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCURACY = "val/accuracy"
POINTS = 10.0  # from the median of an epoch, within which no accuracy is off the axis
AHEAD = 2.0  # the same of differences


@as_it_comes()
def accuracy_curves(comparison: Comparison) -> "Figure":
    """Draws the validation accuracy of students over the epochs, and beside it how far it is ahead of alpha = 1.

    The teacher is a level line at its last accuracy, as its epochs are its own; without students it is a curve.

    Args:
        comparison: The runs. Students of alpha = 1 are those of `Comparison.baselines`, seed by seed.
    """
    arms = list(zip(comparison.rows_by_arm, styles(comparison.rows_by_arm), strict=True))
    students = [arm for arm in arms if arm[0][0].role == "student"] or arms
    known = {row.run_id: [100 * value for value in row.history.get(ACCURACY, [])] for row in comparison.rows}
    accuracies = [[known[row.run_id] for row in rows] for rows, _ in students]
    ahead = [[_ahead(known, row, comparison.baselines) for row in rows] for rows, _ in students]
    shown = [accuracies, ahead] if any(map(any, ahead)) else [accuracies]
    figure = blank(4.4)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    epochs = max((len(values) for curves in accuracies for values in curves), default=1)
    for panel, curves, floor in zip(panels, shown, (POINTS, AHEAD), strict=False):
        prepare(panel, title="", epochs=epochs)
        for (_, style), runs in zip(students, curves, strict=True):
            curve(panel, runs, band=0.15 if len(students) < 6 else 0.07, **style)
        named = [named_runs(rows, style["label"], runs) for (rows, style), runs in zip(students, curves, strict=True)]
        limit([panel], [[run for runs in named for run in runs]], floor=floor, at="bottom")
    panels[0].set_ylabel("validation accuracy in %")
    if students is not arms:
        _draw_teacher(panels[0], [row for row in comparison.rows if row.role == "teacher"], known)
    for panel in panels[1:]:
        panel.axhline(0, color="0.45", linewidth=1, zorder=1)
        panel.set_ylabel("ahead of alpha = 1, points")
    add_legend(figure)
    return figure


def _ahead(known: Mapping[str, Sequence[float]], row: Row, baselines: Mapping[str, str]) -> list[float]:
    other = known.get(baselines.get(row.run_id, ""), [])
    return [ours - theirs for ours, theirs in zip(known[row.run_id], other, strict=False)]


def _draw_teacher(panel: "Axes", teachers: Sequence[Row], known: Mapping[str, Sequence[float]]) -> None:
    finals = [known[row.run_id][-1] for row in teachers if known[row.run_id]]
    if finals:
        low, high = panel.get_ylim()
        panel.axhline(fmean(finals), color=GREY, linestyle="--", linewidth=1.2, label="teacher, at its end", zorder=1)
        panel.set_ylim(low, max(high, fmean(finals) + 0.05 * (high - low)))
