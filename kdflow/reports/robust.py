"""Axes that one outlier does not flatten: what lies far from all else is left off, and marked at the edge."""

import math
from collections.abc import Iterable, Sequence
from statistics import median

DEVIATIONS = 10
"""Median absolute deviations from the median, beyond which a value is off the axis."""


def limits(
    values: Iterable[float], *, floor: float, always: Iterable[float] = (), margin: float = 0.08
) -> tuple[float, float]:
    """Returns the ends of an axis that shows all values but outliers.

    Args:
        values: Those that are not finite count for nothing.
        floor: Distance from the median within which nothing is an outlier.
        always: Values that are shown in any case.
        margin: Left free at both ends, a share of the axis.
    """
    shown = [*within(values, floor=floor), *always] or [0.0, 1.0]
    low, high = min(shown), max(shown)
    free = margin * (high - low) or floor / 4
    return low - free, high + free


def curve_limits(curves: Sequence[Sequence[float]], *, floor: float, margin: float = 0.05) -> tuple[float, float]:
    """Returns the same for curves: a value is an outlier among those of its own epoch.

    Args:
        curves: Of each run, its values at epochs 1, 2, ...
        floor: See `limits`.
        margin: See `limits`.
    """
    longest = max(map(len, curves), default=0)
    by_epoch = [[curve[epoch] for curve in curves if epoch < len(curve)] for epoch in range(longest)]
    shown = [value for values in by_epoch for value in within(values, floor=floor)]
    return limits((), floor=floor, always=shown, margin=margin)


def within(values: Iterable[float], *, floor: float) -> list[float]:
    """Returns the values that are no outliers.

    Args:
        values: Those that are not finite are none of them.
        floor: See `limits`.
    """
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return []
    middle = median(finite)
    reach = max(DEVIATIONS * median(abs(value - middle) for value in finite), floor)
    return [value for value in finite if abs(value - middle) <= reach]
