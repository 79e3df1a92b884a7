"""A training run: what it reports, what it leaves alone, and that (seed, epoch) alone decide it.

One member's loss and step, and companionship, are `test_cohort`'s. Speed is a benchmark's.
"""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from kdflow import distillers
from kdflow.common.errors import KdflowError
from kdflow.config import Recipe, flat
from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.device.runtime import Runtime
from kdflow.teachers.frozen import Frozen
from kdflow.training.cohort import Step
from kdflow.training.loop import Epoch, fit
from kdflow.training.member import Member
from kdflow.training.schedules import learning_rate
from kdflow.training.watch import LOOK_EVERY

Tiny = Callable[..., nn.Module]
RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1)
STEPS = 4  # of an epoch: 64 images

BY_LABELS = {
    *("train/loss", "train/label_loss", "train/accuracy", "val/loss", "val/label_loss", "val/accuracy"),
    *("learning_rate", "speed/epoch_seconds", "speed/images_per_second"),
}
BY_TEACHER = BY_LABELS | {"train/distill_loss", "val/teacher_kl", "val/teacher_agreement"}


@pytest.fixture
def train(data: Dataset, runtime: Runtime) -> Callable[..., list[Epoch]]:
    """`train(model, alpha, teacher, **changes)` trains one member to the end and gives its epochs."""

    def run(
        model: nn.Module, alpha: float = 1.0, teacher: Frozen | None = None, *, on: Dataset = data, **changes: object
    ):
        member = Member("student", model, alpha, distillers.build("soft-targets"))
        recipe = replace(RECIPE, **{key: value for key, value in changes.items() if key != "seed"})
        where = replace(runtime, seed=changes.get("seed", 0))
        return list(fit([member], on, recipe, runtime=where, teacher=teacher))

    return run


def weights(model: nn.Module) -> list[Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("alpha", "names"), [(1.0, BY_LABELS), (0.5, BY_TEACHER), (0.0, BY_TEACHER)])
def test_each_epoch_from_one_on_reports_the_metrics_of_the_design(
    train, tiny: Tiny, teacher: Frozen, alpha, names
) -> None:
    epochs = train(tiny(0), alpha, teacher if alpha < 1 else None)
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    for epoch in epochs:
        (metrics,) = epoch.metrics
        assert set(metrics) == names
        assert all(type(value) is float for value in metrics.values())
        assert all(0 <= metrics[name] <= 1 for name in names if name.endswith(("accuracy", "agreement")))


def test_a_student_of_labels_beside_others_has_no_distillation_loss(tiny: Tiny, data, runtime, teacher: Frozen) -> None:
    cohort = [Member("labels", tiny(0)), Member("both", tiny(0), 0.5, distillers.build("soft-targets"))]
    (epoch,) = fit(cohort, data, replace(RECIPE, epochs=1), runtime=runtime, teacher=teacher)
    assert [set(metrics) for metrics in epoch.metrics] == [BY_TEACHER - {"train/distill_loss"}, BY_TEACHER]


def test_a_student_learns(train, tiny: Tiny) -> None:
    epochs = train(tiny(0), epochs=15)
    assert epochs[-1].metrics[0]["val/accuracy"] > 0.9
    assert epochs[-1].metrics[0]["val/loss"] < epochs[0].metrics[0]["val/loss"]


def test_a_student_learns_from_a_good_teacher_alone_though_every_label_is_wrong(
    train, tiny: Tiny, data: Dataset
) -> None:
    good = tiny(5)
    train(good, epochs=15)
    wrong = replace(data, train=Split(data.train.images, (data.train.labels + 1) % 4))
    metrics = train(tiny(0), 0.0, Frozen(good), on=wrong, epochs=15)[-1].metrics[0]
    assert metrics["val/accuracy"] > 0.9
    assert metrics["val/teacher_agreement"] > 0.9
    assert metrics["train/accuracy"] < 0.3


def test_at_alpha_one_the_final_weights_do_not_depend_on_the_teacher(train, tiny: Tiny, teacher: Frozen) -> None:
    models = [tiny(0, dropout=0.5) for _ in range(3)]
    for model, taught in zip(models, (None, teacher, Frozen(tiny(55))), strict=True):
        train(model, 1.0, taught)
    assert equal(weights(models[0]), weights(models[1]))
    assert equal(weights(models[0]), weights(models[2]))


def test_at_alpha_zero_the_final_weights_do_not_depend_on_the_labels(train, tiny: Tiny, teacher: Frozen, data) -> None:
    permuted = replace(
        data,
        train=Split(data.train.images, data.train.labels.roll(1)),
        val=Split(data.val.images, data.val.labels.roll(1)),
    )
    one, other, both = tiny(0), tiny(0), tiny(0)
    train(one, 0.0, teacher)
    train(other, 0.0, teacher, on=permuted)
    train(both, 0.5, teacher, on=permuted)
    assert equal(weights(one), weights(other))
    assert not equal(weights(one), weights(both))


def test_distillation_has_an_effect(train, tiny: Tiny, teacher: Frozen) -> None:
    models = [tiny(0) for _ in range(3)]
    for model, alpha, taught in zip(models, (1.0, 0.5, 0.5), (teacher, teacher, Frozen(tiny(55))), strict=True):
        train(model, alpha, taught)
    assert not equal(weights(models[0]), weights(models[1]))
    assert not equal(weights(models[1]), weights(models[2]))


def test_the_teacher_is_neither_trained_nor_changed_nor_left_with_hooks(
    tiny: Tiny, data, runtime, teacher: Frozen
) -> None:
    before = weights(teacher)
    student = tiny(0)
    member = Member("student", student, 0.5, distillers.build("rkd"))
    list(fit([member], data, RECIPE, runtime=runtime, teacher=teacher))
    assert equal(before, weights(teacher))
    for model in (teacher, student):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert not any(module.training for module in model.modules())


def test_training_leaves_the_callers_random_numbers_alone(train, tiny: Tiny, teacher: Frozen) -> None:
    torch.manual_seed(123)
    before = torch.get_rng_state()
    train(tiny(0, dropout=0.5), 0.5, teacher)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(train, tiny: Tiny) -> None:
    models = [tiny(0, dropout=0.5) for _ in range(3)]
    for model, seed in zip(models, (7, 7, 8), strict=True):
        torch.rand(seed)
        train(model, seed=seed)
    assert equal(weights(models[0]), weights(models[1]))
    assert not equal(weights(models[0]), weights(models[2]))


def test_dropout_follows_from_seed_and_step(train, tiny: Tiny, data, runtime) -> None:
    still = replace(data, mirrored=False)
    masks: list[Tensor] = []
    model = tiny(0, dropout=0.5)
    model[4].register_forward_hook(lambda module, args, output: masks.append(output != 0) if module.training else None)
    train(model, on=still, epochs=2)
    assert len(masks) == 2 * STEPS
    assert not any(torch.equal(masks[0], mask) for mask in masks[1:])


def test_two_trainings_in_one_process_do_not_touch_each_other(tiny: Tiny, data, runtime, teacher: Frozen) -> None:
    def start(model: nn.Module, seed: int):
        member = Member("student", model, 0.5, distillers.build("soft-targets"))
        return fit([member], data, RECIPE, runtime=replace(runtime, seed=seed), teacher=teacher)

    alone = [tiny(seed, dropout=0.5) for seed in (1, 2)]
    for seed, model in enumerate(alone, start=1):
        list(start(model, seed))
    woven = [tiny(seed, dropout=0.5) for seed in (1, 2)]
    for _ in zip(*(start(model, seed) for seed, model in enumerate(woven, start=1)), strict=True):
        torch.rand(3)
    assert equal(weights(alone[0]), weights(woven[0]))
    assert equal(weights(alone[1]), weights(woven[1]))


def test_a_training_computes_on_its_own_threads_whatever_another_sets_in_between(tiny: Tiny, data, runtime) -> None:
    seen: list[int] = []
    training = fit(
        [Member("student", tiny(0))],
        data,
        replace(RECIPE, epochs=2),
        runtime=replace(runtime, threads=2),
        on_step=lambda step: seen.append(torch.get_num_threads()),
    )
    for _ in training:
        assert torch.get_num_threads() == 1
    assert seen == [2] * 2 * STEPS


def test_a_config_is_the_same_after_training_as_before(train, tiny: Tiny) -> None:
    before = flat(RECIPE)
    train(tiny(0))
    assert flat(RECIPE) == before


class Untouchable:
    """Stands where the test split should be and lets nobody near."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(f"the test split was asked for its {name}")

    def __len__(self) -> int:
        raise AssertionError("the test split was counted")


def test_training_never_reads_the_test_split(train, tiny: Tiny, teacher: Frozen, data: Dataset) -> None:
    train(tiny(0), 0.5, teacher, on=replace(data, test=Untouchable()))


def test_the_learning_rate_of_each_step_is_that_of_the_schedule(
    train, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.SGD.step

    def spy(optimiser: torch.optim.SGD, *args: object, **kwargs: object) -> object:
        rates.append(optimiser.param_groups[0]["lr"])
        return step(optimiser, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    epochs = train(tiny(0), epochs=10)
    assert rates == pytest.approx([learning_rate(RECIPE, done / (10 * STEPS)) for done in range(10 * STEPS)])
    assert (rates[0], max(rates)) == (pytest.approx(0.1 / 25), pytest.approx(0.1))
    assert rates[-1] < 0.001
    assert [epoch.metrics[0]["learning_rate"] for epoch in epochs] == rates[STEPS - 1 :: STEPS]


def test_steps_are_counted_for_a_progress_display(tiny: Tiny, data, runtime) -> None:
    steps: list[Step] = []
    list(fit([Member("one", tiny(0))], data, replace(RECIPE, epochs=2), runtime=runtime, on_step=steps.append))
    assert [(step.number, step.of, step.seen) for step in steps] == [(n, STEPS, 16 * n) for n in (1, 2, 3, 4)] * 2
    assert [list(one) for one in steps[0].means()] == [["train/loss", "train/label_loss", "train/accuracy"]]


def test_a_set_smaller_than_a_batch_is_one_batch(train, tiny: Tiny) -> None:
    assert len(train(tiny(0), batch_size=1000)) == 3


def diverging(train, model: nn.Module, alpha: float = 1.0, teacher: Frozen | None = None, **changes: object) -> str:
    """The message of a training whose loss becomes infinite or nan."""
    recipe = {"lr": 1e6, "schedule": "constant", "weight_decay": 1.0, "clip_norm": 0.0, "epochs": 10, **changes}
    with pytest.raises(KdflowError) as caught:
        train(model, alpha, teacher, **recipe)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize("clip_norm", [0.0, 5.0])
def test_a_loss_that_is_no_longer_finite_ends_training_in_one_line(train, tiny: Tiny, clip_norm: float) -> None:
    message = diverging(train, tiny(0), clip_norm=clip_norm)
    pattern = (
        r"student: label loss is (nan|inf) at step \d of epoch \d, at learning rate 1e\+06; try a lower learning rate"
    )
    assert re.fullmatch(pattern, message), message


def test_a_loss_of_the_teacher_that_is_no_longer_finite_is_named(train, tiny: Tiny) -> None:
    broken = tiny(1)
    broken[-1].bias.data[0] = torch.nan
    for alpha in (0.0, 0.5):
        message = diverging(train, tiny(0), alpha, Frozen(broken), lr=0.1)
        assert message.startswith("student: distillation loss is nan at step 1 of epoch 1, at learning rate 0.1;")


def test_training_stops_at_the_very_step_at_which_the_loss_is_not_finite(train, tiny: Tiny) -> None:
    forwards = 0

    def poison(module: nn.Module, args: object, output: Tensor) -> Tensor:
        nonlocal forwards
        forwards += module.training
        return output * (torch.nan if forwards == STEPS + 2 else 1)

    model = tiny(0)
    model.register_forward_hook(poison)
    assert "label loss is nan at step 2 of epoch 2," in diverging(train, model, lr=0.1)
    assert forwards == STEPS + 2


@pytest.mark.parametrize("every", [2, 3, 64])
def test_where_each_step_is_not_looked_at_the_first_bad_one_is_named_all_the_same(
    train, tiny: Tiny, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    at_once = [diverging(train, tiny(seed), clip_norm=clip) for seed in (0, 1) for clip in (0.0, 5.0)]
    monkeypatch.setitem(LOOK_EVERY, "cpu", every)
    assert [diverging(train, tiny(seed), clip_norm=clip) for seed in (0, 1) for clip in (0.0, 5.0)] == at_once


def test_of_an_epoch_with_a_loss_that_is_not_finite_nothing_is_heard(tiny: Tiny, data, runtime) -> None:
    recipe = replace(RECIPE, lr=1e6, schedule="constant", weight_decay=1.0, epochs=10)
    epochs: list[Epoch] = []
    model = tiny(0)
    with pytest.raises(KdflowError) as caught:
        epochs.extend(fit([Member("student", model)], data, recipe, runtime=runtime))
    assert f" of epoch {len(epochs) + 1}," in str(caught.value)
    assert not any(module.training for module in model.modules())


def test_in_a_cohort_the_member_whose_loss_is_not_finite_is_named(tiny: Tiny, data, runtime, teacher: Frozen) -> None:
    broken = tiny(1)
    broken[-1].bias.data[0] = torch.inf
    kind = distillers.build("soft-targets")
    cohort = [Member("good", tiny(0)), Member("bad", broken, 0.5, kind), Member("worse", broken, 0.0, kind)]
    with pytest.raises(KdflowError, match=r"^bad: label loss is (inf|nan) at step 1 of epoch 1,"):
        list(fit(cohort, data, RECIPE, runtime=runtime, teacher=teacher))


def test_a_model_that_the_very_last_step_ruins_is_not_passed_off_as_trained(train, tiny: Tiny) -> None:
    model = tiny(0)
    with torch.no_grad():
        model[-1].weight.mul_(1e20)
    message = diverging(train, model, lr=100, weight_decay=1, epochs=1, batch_size=64)
    assert re.fullmatch(r"student: val/\w+ is (nan|inf) after epoch 1, at learning rate 100; try .*", message), message
