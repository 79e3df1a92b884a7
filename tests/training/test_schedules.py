"""The learning rate over the steps of a run: warm-up, peak, end. That training uses it is `test_train`'s."""

import math
from itertools import pairwise

import pytest

from kdflow.config import Recipe
from kdflow.training.schedules import WARM_UP, learning_rate, learning_rates

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


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "constant"])
@pytest.mark.parametrize(("epochs", "steps"), [(1, 1), (1, 7), (3, 1), (10, 351)])
def test_the_rates_of_all_epochs_are_the_schedule_step_by_step(schedule: str, epochs: int, steps: int) -> None:
    recipe = Recipe(schedule=schedule, lr=0.1, epochs=epochs)
    rates = [learning_rates(recipe, epoch, steps) for epoch in range(1, epochs + 1)]
    assert all(len(of_epoch) == steps for of_epoch in rates)
    whole = [rate for of_epoch in rates for rate in of_epoch]
    assert whole == [learning_rate(recipe, done / (epochs * steps)) for done in range(epochs * steps)]


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_the_last_step_of_the_last_epoch_still_learns(schedule: str) -> None:
    recipe = Recipe(schedule=schedule, lr=0.1, epochs=10)
    last = learning_rates(recipe, 10, 100)
    assert 0 < last[-1] < last[-2] < 1e-5
