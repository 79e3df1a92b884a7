"""What an arm gains over another: differences by seed, intervals over seeds and images, and the verdict on them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kdflow.analysis import pairs as pairing
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effect import EQUIVALENT, GAIN, LOSS, NO_SPREAD, ONE_PAIR, UNDECIDED, Effect
from kdflow.analysis.intervals import ALPHA, ROUNDING, Estimate, Spread, over_seeds, over_seeds_and_images
from kdflow.analysis.pairs import Pairs
from kdflow.analysis.significance import holm, mcnemar, seeds_needed, wins

if TYPE_CHECKING:
    from kdflow.evaluation.predictions import Predictions

UNEQUAL = 2.0
"""Arms whose deviations differ by more than this factor do not share their spread."""
DEVIATE = "the deviations of the arms differ by more than a factor of 2"
ALONE = "with the spread over seeds of this arm and its baseline alone"
TWO_WAY = "over new seeds and new images (two-way)"
BY_ACCURACY = "over new seeds, by accuracy alone"


def effects(
    comparison: Comparison,
    predictions: Mapping[str, "Predictions"],
    *,
    margin: float = 0.005,
    baseline: int | None = None,
) -> tuple[Effect, ...]:
    """Returns what each arm gains over its baseline, in the order of the arms; arms without a pair have no effect.

    Args:
        comparison: The runs.
        predictions: Of runs, by run id, as far as they were kept; other pairs are compared by accuracy alone.
        margin: Differences within it count as none, a fraction.
        baseline: Line of the arm that all other students are compared with; None for the alpha = 1 arm of each recipe.
    """
    return judge(pairing.find(comparison, predictions, baseline), margin=margin)


def judge(found: Sequence[Pairs], *, margin: float) -> tuple[Effect, ...]:
    """Returns the effect of each arm, with Holm over all that have several pairs, and over those that have one.

    The interval of an arm is at the level that Holm leaves it: it excludes 0 where there is a gain or loss, lies within
    the margin where the arm is equivalent, and does neither where it is undecided. What lies within the margin counts
    as none, so "equivalent" comes before "gain" and "loss".

    Args:
        found: An arm each.
        margin: Differences within it count as none, a fraction.
    """
    single = [one for one in found if len(one.seeds) == 1]
    tests = {one.arm: mcnemar(*one.correct[:, 0]) for one in single if one.correct is not None}
    p_values = dict(zip(tests, holm(list(tests.values()))[0], strict=True))
    several = [one for one in found if len(one.seeds) > 1]
    judged = {effect.arm: effect for effect in _of_several(several, margin)}
    return tuple(judged.get(one.arm) or _of_one(one, p_values.get(one.arm)) for one in found)


def _of_one(pair: Pairs, p_value: float | None) -> Effect:
    method = "McNemar's exact test on two models" if p_value is not None else "none: one pair, and no predictions"
    return Effect(
        **_facts(pair),
        deviation=None,
        interval=None,
        block_interval=None,
        level=1 - ALPHA,
        p_value=p_value,
        wins=None,
        verdict=ONE_PAIR,
        seeds_needed=None,
        method=method,
    )


def _of_several(found: Sequence[Pairs], margin: float) -> list[Effect]:
    spreads = _spreads(found)
    estimates = [_estimate(pair, spread) for pair, (spread, _) in zip(found, spreads, strict=True)]
    differ = [one.p_value() if _has_spread(one) else 1.0 for one in estimates]
    equal = [min(1.0, 2 * one.equivalence(margin)) if _has_spread(one) else 1.0 for one in estimates]
    steps = zip(zip(*holm(differ), strict=True), zip(*holm(equal), strict=True), strict=True)
    return [
        _of_arm(pair, estimate, words, margin, *step)
        for pair, estimate, (_, words), step in zip(found, estimates, spreads, steps, strict=True)
    ]


def _of_arm(
    pair: Pairs,
    estimate: Estimate,
    words: str,
    margin: float,
    differs: tuple[float, float],
    equals: tuple[float, float],
) -> Effect:
    """The effect of an arm, given its p-values of both kinds, adjusted, and the shares of alpha that they had."""
    p_value, share = differs
    equivalence, other_share = equals
    if equivalence <= ALPHA:
        verdict, level = EQUIVALENT, 1 - other_share
    elif p_value <= ALPHA:
        verdict, level = GAIN if estimate.mean > 0 else LOSS, 1 - share
    else:
        verdict, level = UNDECIDED, 1 - min(share, other_share)
    known = _has_spread(estimate)
    is_open = known and verdict == UNDECIDED
    return Effect(
        **_facts(pair),
        deviation=float(np.std(pair.accuracies[0] - pair.accuracies[1], ddof=1)),
        interval=estimate.interval(level) if known else None,
        block_interval=over_seeds(estimate.mean, estimate.seeds, estimate.spread).interval(level) if known else None,
        level=level,
        p_value=p_value if known else None,
        wins=wins(*pair.accuracies),
        verdict=verdict,
        seeds_needed=seeds_needed(estimate, margin, differs=share, equals=other_share) if is_open else None,
        method=f"{_kind(pair)}, {words}" if known else f"no interval: {NO_SPREAD}",
    )


def _has_spread(estimate: Estimate) -> bool:
    """Whether there is anything to judge a difference by; of none at all there is."""
    return bool(estimate.variance) or abs(estimate.mean) < ROUNDING


def _facts(pair: Pairs) -> dict[str, Any]:
    differences = tuple(map(float, pair.accuracies[0] - pair.accuracies[1]))
    shared = {name: getattr(pair, name) for name in ("arm", "baseline", "seeds", "unpaired")}
    return shared | {"differences": differences, "mean": float(np.mean(differences))}


def _has_images(pair: Pairs) -> bool:
    return pair.correct is not None and pair.correct.shape[2] > 1


def _kind(pair: Pairs) -> str:
    return TWO_WAY if _has_images(pair) else BY_ACCURACY


def _estimate(pair: Pairs, spread: Spread) -> Estimate:
    if pair.correct is not None and _has_images(pair):
        return over_seeds_and_images(pair.correct[0], pair.correct[1], spread)
    return over_seeds(float(np.mean(pair.accuracies[0] - pair.accuracies[1])), len(pair.seeds), spread)


def _spreads(found: Sequence[Pairs]) -> list[tuple[Spread, str]]:
    """Over seeds, of each arm, and how it was found: pooled with the arms that have baseline and seeds in common."""
    groups: dict[tuple[int, tuple[int, ...]], list[Pairs]] = {}
    for pair in found:
        groups.setdefault((pair.baseline, pair.seeds), []).append(pair)
    shared = {
        key: np.array([group[0].accuracies[1], *(one.accuracies[0] for one in group)]) for key, group in groups.items()
    }
    baselines = [pair.baseline for pair in found]
    spreads = []
    for pair in found:
        own = Spread.of(pair.accuracies[0] - pair.accuracies[1])
        accuracies = shared[pair.baseline, pair.seeds]
        deviations = accuracies.std(axis=1, ddof=1)
        if len(accuracies) == 2:
            other = baselines.count(pair.baseline) > 1
            spreads.append((own, ALONE + ", as no other has the same seeds" * other))
        elif deviations.max() > UNEQUAL * deviations.min():
            spreads.append((own, f"{ALONE}, as {DEVIATE}"))
        else:
            spreads.append(
                (Spread.pooled(accuracies), f"with the spread over seeds pooled over {len(accuracies)} arms")
            )
    return spreads
