"""The few statistics that the tables show."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student_t


@dataclass(frozen=True)
class Spread:
    """What several measurements of one thing gave."""

    median: float
    low: float
    high: float
    count: int

    def show(self, form: str = "{:.2f}") -> str:
        """Such as "4.10 (3.98..4.31)"; one measurement has no range."""
        median, low, high = map(form.format, (self.median, self.low, self.high))
        return f"{median} ({low}..{high})" if self.count > 1 else median


def spread(values: Sequence[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values), len(values))


def paired_ratio(slower: Sequence[float], faster: Sequence[float]) -> Spread:
    """How many times as fast: the ratio of the medians, and the range of the ratios within each round."""
    ratios = [theirs / ours for theirs, ours in zip(slower, faster, strict=True)]
    return Spread(statistics.median(slower) / statistics.median(faster), min(ratios), max(ratios), len(ratios))


def mean_and_deviation(fractions: Sequence[float], *, sign: str = "") -> str:
    """In %, such as "71.58 (0.38)"; one value has no deviation."""
    mean = f"{100 * statistics.fmean(fractions):{sign}.2f}"
    return f"{mean} ({100 * statistics.stdev(fractions):.2f})" if len(fractions) > 1 else mean


def t_interval(differences: Sequence[float], confidence: float = 0.95) -> tuple[float, float | None]:
    """Mean of paired differences and the half width of its t-interval; None where one difference allows none."""
    mean, count = statistics.fmean(differences), len(differences)
    if count < 2:
        return mean, None
    quantile = float(student_t.ppf((1 + confidence) / 2, count - 1))
    return mean, quantile * statistics.stdev(differences) / count**0.5
