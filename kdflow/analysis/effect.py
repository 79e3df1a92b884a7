"""What is known of the difference between two arms: its size, its intervals, the verdict on it."""

from dataclasses import dataclass

GAIN, LOSS, EQUIVALENT, UNDECIDED, ONE_PAIR = "gain", "loss", "equivalent", "undecided", "one pair"
"""Verdicts; the last where there is one seed, of which no claim on alpha can be made."""
NO_SPREAD = "all differences are the same"


@dataclass(frozen=True)
class Effect:
    """The test accuracy of one arm minus that of another, paired by seed. Accuracies and differences are fractions.

    Attributes:
        arm: Line of the arm in `Comparison.arms`.
        baseline: Line of the arm that it is compared with.
        seeds: Of the pairs.
        unpaired: How many runs of either arm have no partner and do not count.
        differences: One a pair, in the order of the seeds.
        mean: Of the differences.
        deviation: Sample deviation of the differences; None for one pair.
        interval: Of the mean over new seeds and new images, at the level that Holm leaves it; None for one pair.
        block_interval: Of the mean over new seeds on these test images, at the same level; None for one pair.
        level: Confidence of both intervals, such as 0.95.
        p_value: Two-sided, adjusted by Holm over the arms; of one pair that of McNemar's exact test on two models.
        wins: Probability that a new seed of the arm is better than a new seed of the other; None for one pair.
        verdict: One of the five above.
        seeds_needed: How many seeds would probably decide what is undecided; None if it is decided, or none would.
        method: In words, how the interval was made.
    """

    arm: int
    baseline: int
    seeds: tuple[int, ...]
    unpaired: int
    differences: tuple[float, ...]
    mean: float
    deviation: float | None
    interval: tuple[float, float] | None
    block_interval: tuple[float, float] | None
    level: float
    p_value: float | None
    wins: float | None
    verdict: str
    seeds_needed: int | None
    method: str


def verdict_words(effect: Effect) -> str:
    """Returns the verdict in a few words, such as "undecided; about 9 seeds would probably decide"."""
    if effect.verdict == ONE_PAIR:
        return "one seed; it says nothing about alpha"
    if effect.verdict == UNDECIDED:
        return f"{UNDECIDED}; {more_seeds(effect)}"
    return f"{EQUIVALENT} within the margin" if effect.verdict == EQUIVALENT else effect.verdict


def more_seeds(effect: Effect) -> str:
    """Returns what would decide what is undecided."""
    if effect.interval is None:
        return f"{NO_SPREAD}, so there is no spread to judge by"
    if effect.seeds_needed is None:
        return "more seeds alone would hardly decide"
    return f"about {effect.seeds_needed} seeds would probably decide"
