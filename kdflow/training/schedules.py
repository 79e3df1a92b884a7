"""The learning rate as a pure function of how much of training is done."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from kdflow.config import Recipe

WARM_UP = 0.3


def learning_rate(recipe: Recipe, progress: float) -> float:
    """The rate of a step.

    Args:
        recipe: Peak rate and schedule.
        progress: Share of all steps that came before, from 0 to 1.
    """
    return recipe.lr * _SCHEDULES[recipe.schedule](progress)


def learning_rates(recipe: Recipe, epoch: int, steps: int) -> list[float]:
    """The rates of the `steps` steps of an epoch, which is counted from 1."""
    done = (epoch - 1) * steps
    return [learning_rate(recipe, (done + step) / (recipe.epochs * steps)) for step in range(steps)]


@dataclass(frozen=True)
class EpochSchedule:
    """Where an epoch, counted from 1, lies in the training, and the rate of each of its steps."""

    epoch: int
    rates: Sequence[float]
    progress: Sequence[float]

    @classmethod
    def of(cls, recipe: Recipe, epoch: int, steps: int) -> Self:
        """The schedule of an epoch of that many steps."""
        done = (epoch - 1) * steps
        progress = [(done + step) / (recipe.epochs * steps) for step in range(steps)]
        return cls(epoch, learning_rates(recipe, epoch, steps), progress)


def _one_cycle(progress: float) -> float:
    """Up along a cosine from 1/25 for the first 30 %, then down to zero (Smith and Topin 2018, arXiv 1708.07120)."""
    if progress < WARM_UP:
        return 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * progress / WARM_UP)) / 2
    return _cosine((progress - WARM_UP) / (1 - WARM_UP))


def _cosine(progress: float) -> float:
    """Down along a cosine from 1 to 0 (Loshchilov and Hutter 2017, arXiv 1608.03983)."""
    return (1 + math.cos(math.pi * progress)) / 2


def _constant(progress: float) -> float:
    return 1.0


_SCHEDULES: dict[str, Callable[[float], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _cosine,
    "constant": _constant,
}
