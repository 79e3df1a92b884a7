"""The models of the study as the benchmarks train them."""

from collections.abc import Iterable

from kdflow import distillers, models
from kdflow.training.member import Member


def teacher(classes: int, *, seed: int) -> Member:
    """An AlexNet with fresh weights."""
    return Member("teacher", models.build("alexnet", classes, seed=seed))


def students(classes: int, alphas: Iterable[float], *, seed: int) -> list[Member]:
    """A small CNN for each alpha, all with the same fresh weights."""
    return [
        Member(
            f"alpha = {alpha:g}", models.build("small-cnn", classes, seed=seed), alpha, distillers.build("soft-targets")
        )
        for alpha in alphas
    ]
