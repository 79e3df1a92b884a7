"""The learning rate over the steps of a run: warm-up, peak, end. That training uses it is `test_train`'s."""

import math
from itertools import pairwise

import pytest

from kdflow.config import Recipe
from kdflow.schedules import WARM_UP, learning_rate

STEPS = 1000


def trace(schedule: str, lr: float = 0.1) -> list[float]:
    recipe = Recipe(schedule=schedule, lr=lr)
    return [learning_rate(recipe, step / STEPS) for step in range(STEPS + 1)]


def test_one_cycle_warms_up_peaks_and_ends_at_zero() -> None:
    rates = trace("one-cycle")
    peak = rates.index(max(rates))
    assert rates[0] == pytest.approx(0.1 / 25)
    assert peak == WARM_UP * STEPS
    assert rates[peak] == pytest.approx(0.1)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(low < high for low, high in pairwise(rates[: peak + 1]))
    assert all(high > low for high, low in pairwise(rates[peak:]))


def test_one_cycle_has_the_values_of_the_paper_half_way_up_and_down() -> None:
    recipe = Recipe(schedule="one-cycle", lr=1.0)
    assert learning_rate(recipe, 0.15) == pytest.approx((1 / 25 + 1) / 2)
    assert learning_rate(recipe, 0.65) == pytest.approx(0.5)


def test_cosine_falls_from_the_peak_to_zero_all_the_way() -> None:
    rates = trace("cosine")
    assert rates[0] == pytest.approx(0.1)
    assert rates[STEPS // 3] == pytest.approx(0.1 * (1 + math.cos(math.pi * 0.333)) / 2)
    assert rates[-1] == pytest.approx(0, abs=1e-12)
    assert all(high > low for high, low in pairwise(rates))


def test_constant_stays() -> None:
    assert set(trace("constant")) == {0.1}


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
def test_every_schedule_scales_with_the_peak_and_never_exceeds_it(schedule: str) -> None:
    small, large = trace(schedule, 0.1), trace(schedule, 0.3)
    assert large == pytest.approx([3 * rate for rate in small])
    assert 0 <= min(small) <= max(small) <= 0.1 + 1e-12
