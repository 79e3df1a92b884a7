"""How soon an arm is so good: the epochs that it takes to reach an accuracy on validation images."""

from collections.abc import Iterable, Sequence
from statistics import fmean, stdev

import numpy as np
from pandas import DataFrame

from kdflow.analysis.comparison import Comparison, Row

ACCURACY = "val/accuracy"
STEPS = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
ENOUGH, MOST = 4, 5
"""How many accuracies tell arms apart, and how many are shown at the most."""


def learning(comparison: Comparison, at: Sequence[float] | None = None) -> DataFrame:
    """Returns one line an arm and accuracy: arm, accuracy, epochs_mean, epochs_std, reached and runs.

    A run has reached an accuracy in the first whole epoch after which it has it, whatever comes later. Mean and sample
    deviation are over the runs that have reached it, None where they do not apply: where `reached` is less than `runs`,
    which counts those whose curve is known, the mean is of the quickest.

    Args:
        comparison: The runs.
        at: Accuracies, fractions; by default round ones that students reach, but not all in their first epoch.
    """
    wanted = _round(comparison.rows) if at is None else at
    lines = []
    for arm, rows in enumerate(comparison.rows_by_arm):
        curves = [row.history[ACCURACY] for row in rows if row.history.get(ACCURACY)]
        for accuracy in wanted if curves else ():
            epochs = [epoch for curve in curves if (epoch := _first(curve, accuracy)) is not None]
            average = fmean(epochs) if epochs else None
            deviation = stdev(epochs) if len(epochs) > 1 else None
            lines.append((arm, accuracy, average, deviation, len(epochs), len(curves)))
    return DataFrame(lines, columns=["arm", "accuracy", "epochs_mean", "epochs_std", "reached", "runs"], dtype=object)


def _first(curve: Iterable[float], accuracy: float) -> int | None:
    return next((epoch for epoch, value in enumerate(curve, start=1) if value >= accuracy), None)


def _round(rows: Iterable[Row]) -> list[float]:
    """The highest multiples of the widest step with enough of them above the worst first epoch, and below the best."""
    curves = [row.history[ACCURACY] for row in rows if row.role == "student" and row.history.get(ACCURACY)]
    if not curves:
        return []
    low, high = min(curve[0] for curve in curves), max(map(max, curves))
    for step in STEPS:
        multiples = np.arange(np.floor(low / step) + 1, np.floor(high / step + 1e-9) + 1)
        if len(multiples) >= ENOUGH:
            break
    return [round(float(one) * step, 3) for one in multiples[-MOST:]]
