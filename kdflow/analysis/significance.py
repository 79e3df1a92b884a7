"""What is asked of estimates: of two models alone, of several arms at once, of new seeds, of more seeds."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from kdflow.analysis.intervals import ALPHA, ROUNDING, Bools, Estimate, Floats

POWER = 0.8
"""How probably more seeds decide."""
MOST = 1000
"""Seeds that anybody may be asked for."""


def mcnemar(first: Bools, second: Bools) -> float:
    """Returns the p-value of McNemar's exact test that two trained models are right equally often.

    Q. McNemar, Psychometrika 12, 1947. It says nothing about how they were trained: T. G. Dietterich, "Approximate
    statistical tests for comparing supervised classification learning algorithms", Neural Computation 10, 1998. Never
    of several seeds together, which takes one image for many.

    Args:
        first: Whether the one is right, `[images]`.
        second: Whether the other is, of the same images.
    """
    from scipy.stats import binomtest

    ours, theirs = int((first & ~second).sum()), int((second & ~first).sum())
    return float(binomtest(ours, ours + theirs).pvalue) if ours + theirs else 1.0


def holm(p_values: Sequence[float], alpha: float = ALPHA) -> tuple[list[float], list[float]]:
    """Returns adjusted p-values, and for each test the share of alpha that its step leaves it.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979: the
    smallest of m is tested at alpha / m, the next at alpha / (m - 1), until one fails; all from there on have its
    share. So a p-value is at most its share exactly where the adjusted one is at most alpha.

    Args:
        p_values: One a test.
        alpha: Probability of any false rejection.
    """
    count = len(p_values)
    adjusted, shares = [1.0] * count, [alpha] * count
    largest, share, rejects = 0.0, alpha, True
    for step, place in enumerate(sorted(range(count), key=p_values.__getitem__)):
        if rejects:
            share = alpha / (count - step)
            rejects = p_values[place] <= share
        largest = max(largest, min(1.0, (count - step) * p_values[place]))
        adjusted[place], shares[place] = largest, share
    return adjusted, shares


def wins(first: Floats, second: Floats) -> float:
    """Returns the probability that a new seed of one arm is better than a new, other seed of another.

    The common language effect size of K. O. McGraw and S. P. Wong, Psychological Bulletin 111, 1992, of two independent
    normal accuracies: whoever trains anew has no pairs. It is a prediction, so with t and 1 + 1 / n for what n seeds
    leave unknown of mean and deviation (Welch's degrees of freedom).

    Args:
        first: Accuracies of the one, `[seeds]`, at least two.
        second: Of the other.
    """
    from scipy.stats import t

    gain = float(first.mean() - second.mean())
    ours, theirs = float(first.var(ddof=1)), float(second.var(ddof=1))
    spread, seeds = ours + theirs, len(first)
    if spread < ROUNDING**2:
        return 0.5 * (1 + float(np.sign(round(gain, 9))))
    df = (seeds - 1) * spread**2 / (ours**2 + theirs**2)
    return float(t.cdf(gain / math.sqrt(spread * (1 + 1 / seeds)), df))


def seeds_needed(estimate: Estimate, margin: float, *, differs: float = ALPHA, equals: float = ALPHA) -> int | None:
    """Returns how many seeds, more than there are, would decide with a power of 80 %; None if none would.

    It takes the mean and the spreads that were observed for the true ones, so it is a guess. What is owed to the test
    images does not shrink with seeds, and may forbid an answer.

    Args:
        estimate: Of now.
        margin: Differences within it count as none.
        differs: Share of alpha for the two-sided test that there is no difference.
        equals: Share of alpha for the two one-sided tests of the margin together.
    """
    gain, below = abs(estimate.mean), NormalDist().cdf

    def decides(seeds: int) -> bool:
        df = estimate.spread.df * (seeds - 1) / (estimate.seeds - 1)
        then = replace(estimate, seeds=seeds, spread=replace(estimate.spread, df=df))
        error = math.sqrt(then.variance)
        finds = below((gain - then.quantile(differs / 2)) / error)
        room = margin - then.quantile(equals / 2)
        excludes = below((room - gain) / error) + below((room + gain) / error) - 1
        return max(finds, excludes) >= POWER

    if not estimate.variance or not decides(MOST):
        return None
    more = range(estimate.seeds + 1, MOST + 1)
    return more[bisect_left(more, True, key=decides)]
