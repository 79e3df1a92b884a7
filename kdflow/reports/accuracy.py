"""Final accuracies of arms or single runs: a dot a seed, on axes that show a point."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from kdflow.analysis.cells import validation_note
from kdflow.analysis.comparison import Comparison, Row
from kdflow.reports.dots import draw_dots, label_lines
from kdflow.reports.drawing import as_it_comes
from kdflow.reports.lettering import drawable
from kdflow.reports.styles import blank, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SPLITS = ("train", "validation", "test")
FLOOR = 3.0  # points from the median, within which no accuracy is off the axis


@as_it_comes()
def accuracy_dots(comparison: Comparison, splits: Sequence[str] = SPLITS) -> "Figure":
    """Draws the final accuracies of all arms: a dot a seed, the mean as an upright line, its interval level.

    Teachers and students have scales of their own, as what lies between them would flatten what lies within.

    Args:
        comparison: The runs.
        splits: Of which each has a column of panels: any of "train", "validation" and "test".
    """
    arms = list(zip(comparison.rows_by_arm, styles(comparison.rows_by_arm), strict=True))
    parts = [[arm for arm in arms if (arm[0][0].role == "teacher") == of_teachers] for of_teachers in (True, False)]
    parts = [part for part in parts if part] or [[]]
    single = len(splits) == 1
    what = ": a dot a seed, a line at the mean, its 95 % interval" if comparison.has_seeds else ""
    title = "" if single else f"Final accuracy on {drawable(comparison.dataset)}{what}"
    figure = blank(1.2 + 0.42 * len(arms) + 0.4 * len(parts), title=title)
    grid = figure.subplots(
        len(parts), len(splits), sharey="row", squeeze=False, height_ratios=[len(part) + 0.3 for part in parts]
    )
    for part, panels in zip(parts, grid, strict=True):
        looks = [style for _, style in part]
        for split, panel in zip(splits, panels, strict=True):
            values = [[100 * _accuracy(row, split) for row in rows] for rows, _ in part]
            draw_dots(panel, values, looks, floor=FLOOR, ticks=8 if single else 4)
        label_lines(panels[0], looks)
    for panel, split in zip(grid[0], splits if not single else [], strict=not single):
        panel.set_title(split, fontsize=10)
    drawn = comparison.validation if "validation" in splits else ""
    name = f"{splits[0]} accuracy in %" if single else "accuracy in %"
    figure.supxlabel("\n".join((name, *([validation_note(drawable(drawn))] if drawn else []))), fontsize=10)
    return figure


def _accuracy(row: Row, split: str) -> float:
    return {"train": row.train_accuracy, "validation": row.val_accuracy, "test": row.test_accuracy}[split]
