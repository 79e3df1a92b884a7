"""From paired accuracies and paired predictions to intervals: over new seeds, and over new seeds and new images."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

ALPHA = 0.05
"""Of a hundred tests where there is nothing to find, so many may find something."""
ROUNDING = 1e-9
"""Differences and deviations below it are those of floating point."""
SMALLEST = 1e-15
"""The smallest p-value of one side; what is below is that."""


@dataclass(frozen=True)
class Spread:
    """How much the difference of two arms varies from seed to seed.

    Attributes:
        variance: Of the difference of one pair.
        df: Degrees of freedom that it was estimated with.
    """

    variance: float
    df: float

    @classmethod
    def of(cls, differences: Floats) -> "Spread":
        """The sample variance of paired differences `[seeds]`, as the paired t-test takes it."""
        return cls(_variance(differences), len(differences) - 1)

    @classmethod
    def pooled(cls, accuracies: Floats) -> "Spread":
        """Twice the residual variance of the block model: accuracy = arm + seed + residual, all residuals alike.

        R. A. Fisher, "The Design of Experiments", 1935, randomised blocks; here a seed is a block. Of two arms it is
        the sample variance of the differences, so that the test is the paired t-test.

        Args:
            accuracies: `[arms, seeds]`, the baseline among them.
        """
        arms, seeds = accuracies.shape
        centred = accuracies - accuracies.mean(axis=0) - accuracies.mean(axis=1, keepdims=True) + accuracies.mean()
        df = (arms - 1) * (seeds - 1)
        variance = 2 * float((centred**2).sum()) / df
        return cls(variance if variance > ROUNDING**2 else 0.0, df)


@dataclass(frozen=True)
class Estimate:
    """A mean difference, and how sure it is.

    The two parts of its variance have each a t quantile of their own, so an interval is at least as sure as it says,
    at every level: S. Banerjee, "Approximate confidence interval for linear functions of means of k populations when
    the population variances are not equal", Sankhya 22, 1960. Satterthwaite's approximation is not, where few seeds and
    many images meet: docs/statistics.md has the figures.

    Attributes:
        mean: Of the differences.
        seeds: How many pairs.
        spread: Over seeds.
        images: Variance of the mean that is owed to the choice of test images; 0 where they are taken as given.
        images_df: Degrees of freedom of that.
    """

    mean: float
    seeds: int
    spread: Spread
    images: float = 0.0
    images_df: float = 1.0

    @property
    def variance(self) -> float:
        """Of the mean."""
        return self.spread.variance / self.seeds + self.images

    def interval(self, level: float) -> tuple[float, float]:
        """Returns the confidence interval of the mean.

        Args:
            level: Such as 0.95.
        """
        half = self.quantile((1 - level) / 2)
        return self.mean - half, self.mean + half

    def quantile(self, tail: float) -> float:
        """Returns how far up chance alone carries the mean with a probability of `tail`.

        Args:
            tail: At most 0.5.
        """
        of_seeds = t_quantile(self.spread.df, tail) * math.sqrt(self.spread.variance / self.seeds)
        return math.hypot(of_seeds, t_quantile(self.images_df, tail) * math.sqrt(self.images))

    def p_value(self) -> float:
        """Returns that of the two-sided test of no difference: 0 is a bound of the interval of level 1 - p."""
        return min(1.0, 2 * self._above(abs(self.mean)))

    def equivalence(self, margin: float) -> float:
        """Returns the p-value of two one-sided tests, that the difference is at least the margin either way.

        D. J. Schuirmann, "A comparison of the two one-sided tests procedure and the power approach", Journal of
        Pharmacokinetics and Biopharmaceutics 15, 1987: the interval of level 1 - 2 p lies within the margin.

        Args:
            margin: Differences within it count as none.
        """
        return self._above(margin - abs(self.mean))

    def _above(self, distance: float) -> float:
        """The tail whose quantile is the distance."""
        from scipy.optimize import brentq

        if distance <= 0 or not self.variance:
            return 0.5 if distance == 0 else float(distance < 0) if not self.variance else 1 - self._above(-distance)
        if distance >= self.quantile(SMALLEST):
            return SMALLEST
        smallest, largest = math.log(SMALLEST), math.log(0.5)
        return math.exp(brentq(lambda tail: self.quantile(math.exp(tail)) - distance, smallest, largest, xtol=1e-12))


def t_quantile(df: float, tail: float) -> float:
    """Returns what Student's t with so many degrees of freedom exceeds with a probability of `tail`."""
    from scipy.special import stdtrit

    return -float(stdtrit(df, tail))


def over_seeds(mean: float, seeds: int, spread: Spread) -> Estimate:
    """Returns the mean difference over new seeds on these test images.

    Args:
        mean: Of the differences.
        seeds: How many pairs.
        spread: Over seeds: `Spread.of` makes it the paired t-test, `Spread.pooled` that of the block model.
    """
    return Estimate(mean, seeds, spread)


def over_seeds_and_images(first: Bools, second: Bools, spread: Spread | None = None) -> Estimate:
    """Returns the mean difference over new seeds and new images, which are crossed: each seed sees all images.

    With d the difference of seed i (of n) on image j (of M), V = s2_seed / n + s2_image / M - s2_residual / (n M), not
    below the larger of the first two. It is the model of readers and cases: D. D. Dorfman, K. S. Berbaum, C. E. Metz,
    "Receiver operating characteristic rating analysis", Investigative Radiology 27, 1992.

    Args:
        first: Whether the arm is right, `[seeds, images]`, at least two of both.
        second: The same of the baseline, in the same order.
        spread: Over seeds; None for that of these differences alone.
    """
    difference = first.astype(np.float64) - second
    seeds, images = difference.shape
    by_seed, by_image, mean = difference.mean(axis=1), difference.mean(axis=0), float(difference.mean())
    spread = spread or Spread.of(by_seed)
    whole = (difference**2).sum() + seeds * images * mean**2
    rest = whole - images * (by_seed**2).sum() - seeds * (by_image**2).sum()
    of_both = max(0.0, float(rest) / ((seeds - 1) * (images - 1))) / (seeds * images)
    of_seeds, of_images = spread.variance / seeds, _variance(by_image) / images
    return Estimate(mean, seeds, spread, max(0.0, of_images - min(of_both, of_seeds)), images - 1)


def _variance(values: Floats) -> float:
    variance = float(values.var(ddof=1))
    return variance if variance > ROUNDING**2 else 0.0
