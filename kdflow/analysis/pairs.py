"""Which runs are compared: an arm beside its baseline, seed by seed, with what is known of their test images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kdflow.analysis.arms import numbered
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.intervals import Bools, Floats

if TYPE_CHECKING:
    from kdflow.evaluation.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Pairs:
    """The runs of an arm and those of its baseline that have the same seed.

    Attributes:
        arm: Line of the arm in `Comparison.arms`.
        baseline: Line of the other.
        seeds: Of the pairs, rising.
        unpaired: How many runs of either arm have no partner.
        accuracies: Test accuracies, fractions `[2, seeds]`, those of the arm first.
        correct: Whether each is right on each test image, `[2, seeds, images]`; None if that is not known of all, or
            not of the same images.
    """

    arm: int
    baseline: int
    seeds: tuple[int, ...]
    unpaired: int
    accuracies: Floats
    correct: Bools | None = None


@dataclass(frozen=True)
class _Run:
    """A line of `Comparison.runs`."""

    run_id: str
    arm: int
    role: str
    alpha: float | None
    seed: int
    accuracy: float


def find(
    comparison: Comparison, predictions: Mapping[str, "Predictions"], baseline: int | None = None
) -> tuple[Pairs, ...]:
    """Returns the pairs of each arm that has any, in the order of the arms.

    Args:
        comparison: The runs.
        predictions: Of runs, by run id, as far as they were kept.
        baseline: Line of the arm that all other students are compared with; None for the alpha = 1 arm of each recipe.
    """
    columns = zip(
        *(comparison.runs[name] for name in ("run_id", "role", "alpha", "seed", "test_accuracy")), strict=True
    )
    arms: dict[int, list[_Run]] = {}
    for arm, (run_id, role, alpha, seed, accuracy) in zip(numbered(comparison.runs), columns, strict=True):
        arms.setdefault(arm, []).append(_Run(run_id, arm, role, alpha, int(seed), float(accuracy)))
    found = _against(arms, baseline) if baseline is not None else _against_labels(arms, comparison.baselines)
    return tuple(_pairs(arms, matched, predictions) for matched in found if matched)


Matched = list[tuple[_Run, _Run]]


def _against(arms: Mapping[int, list[_Run]], baseline: int) -> Iterator[Matched]:
    theirs = {run.seed: run for run in reversed(arms[baseline])}
    for arm, runs in arms.items():
        if arm != baseline and runs[0].role == "student":
            yield _first_of_each_seed([(run, theirs[run.seed]) for run in runs if run.seed in theirs])


def _against_labels(arms: Mapping[int, list[_Run]], baselines: Mapping[str, str]) -> Iterator[Matched]:
    by_id = {run.run_id: run for runs in arms.values() for run in runs}
    for runs in arms.values():
        matched = [
            (run, by_id[baselines[run.run_id]])
            for run in runs
            if run.alpha is not None and run.alpha < 1 and baselines.get(run.run_id) in by_id
        ]
        yield _first_of_each_seed([pair for pair in matched if pair[1].arm == matched[0][1].arm])


def _first_of_each_seed(matched: Matched) -> Matched:
    kept: dict[int, tuple[_Run, _Run]] = {}
    for pair in matched:
        kept.setdefault(pair[0].seed, pair)
    return [kept[seed] for seed in sorted(kept)]


def _pairs(arms: Mapping[int, list[_Run]], matched: Matched, predictions: Mapping[str, "Predictions"]) -> Pairs:
    ours, theirs = matched[0][0].arm, matched[0][1].arm
    correct = _correct([[predictions.get(run.run_id) for run in side] for side in zip(*matched, strict=True)])
    measured = np.array([[run.accuracy for run in side] for side in zip(*matched, strict=True)])
    return Pairs(
        arm=ours,
        baseline=theirs,
        seeds=tuple(run.seed for run, _ in matched),
        unpaired=len(arms[ours]) + len(arms[theirs]) - 2 * len(matched),
        accuracies=measured if correct is None else correct.mean(axis=2),
        correct=correct,
    )


def _correct(sides: "list[list[Predictions | None]]") -> Bools | None:
    """Whether each is right on each image, if all are of the same images in the same order."""
    known = [[one.test for one in side if one is not None] for side in sides]
    if sum(map(len, known)) < sum(map(len, sides)):
        return None
    first = known[0][0]
    for one in (one for side in known for one in side):
        if not (np.array_equal(one.index, first.index) and np.array_equal(one.labels, first.labels)):
            return None
    if not len(first.labels):
        return None
    return np.array([[one.logits.argmax(axis=1) == one.labels for one in side] for side in known])
