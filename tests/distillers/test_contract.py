"""What every distiller owes the training loop, for all that are registered and for one that a user might add."""

import re
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from kdflow import distillers
from kdflow.common.errors import UsageError
from kdflow.config import Recipe
from kdflow.config.option import show
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.distillers import Distiller
from kdflow.distillers.base import DistillationBatch
from kdflow.teachers.frozen import Frozen
from kdflow.training.loop import fit
from kdflow.training.member import Member

each_distiller = pytest.mark.parametrize("name", list(distillers.distillers))


def activations(taps: tuple[str, ...], width: int, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = {tap: 10 if tap == "logits" else width for tap in taps}
    return {tap: torch.randn(8, size, generator=generator).requires_grad_() for tap, size in sizes.items()}


def prepared(name: str) -> tuple[Distiller, dict[str, Tensor], dict[str, Tensor]]:
    distiller = distillers.build(name)
    student = activations(distiller.student_taps, width=6, seed=0)
    teacher = activations(distiller.teacher_taps, width=9, seed=1)
    distiller.prepare(shown(student, teacher))
    return distiller, student, {tap: value.detach() for tap, value in teacher.items()}


def shown(student: dict[str, Tensor], teacher: dict[str, Tensor]) -> DistillationBatch:
    return DistillationBatch(student, teacher, torch.arange(8))


def loss_of(distiller: Distiller, student: dict[str, Tensor], teacher: dict[str, Tensor]) -> Tensor:
    given = distiller(shown(student, teacher))
    return given if isinstance(given, Tensor) else sum(given.values())


@each_distiller
def test_the_loss_is_a_finite_scalar_whose_gradient_reaches_the_student(name: str) -> None:
    distiller, student, teacher = prepared(name)
    loss = loss_of(distiller, student, teacher)
    assert loss.shape == ()
    assert loss.isfinite()
    loss.backward()
    for value in student.values():
        assert value.grad is not None
        assert value.grad.isfinite().all()
        assert value.grad.abs().sum() > 0


@each_distiller
def test_the_loss_changes_with_the_teacher(name: str) -> None:
    distiller, student, teacher = prepared(name)
    others = {tap: value.flip(0) for tap, value in teacher.items()}
    changed, usual = loss_of(distiller, student, others), loss_of(distiller, student, teacher)
    assert changed.item() != pytest.approx(usual.item())


@each_distiller
def test_the_docstring_names_its_source(name: str) -> None:
    kind = distillers.distillers[name]
    assert re.search(r"\(.+ (19|20)\d\d\)", kind.__doc__ or "")
    assert "arXiv" in (sys.modules[kind.__module__].__doc__ or "")


@each_distiller
def test_a_distiller_trains_a_student_on_the_teacher_alone(
    name: str, data: Dataset, runtime: Runtime, tiny: Callable[..., nn.Module], teacher: Frozen
) -> None:
    student = tiny(0)
    before = student[1].weight.clone()
    member = Member(name, student, alpha=0.0, distiller=distillers.build(name))
    epochs = list(fit([member], data, Recipe(epochs=6, batch_size=16), runtime=runtime, teacher=teacher))
    losses = [epoch.metrics[0]["train/distill_loss"] for epoch in epochs]
    assert losses[-1] < losses[0]
    assert not torch.equal(student[1].weight, before)
    assert all(weight.grad is None for weight in teacher.parameters())


@each_distiller
def test_each_knob_is_read_and_refused_by_name(name: str) -> None:
    knobs = {knob: spec for knob, spec in distillers.distillers[name].settings().items() if knob != "temperature"}
    distiller = distillers.build(name, knobs=",".join(f"{knob}={show(spec.default)}" for knob, spec in knobs.items()))
    assert type(distiller) is distillers.distillers[name]
    for knob in knobs:
        with pytest.raises(UsageError, match=rf"^--knobs {knob} is 'nonsense': give .+ \(default .+\)$"):
            distillers.build(name, knobs=f"{knob}=nonsense")


def test_a_knob_reaches_the_distiller() -> None:
    distiller = distillers.build("rkd", knobs=" distance = 3 , angle=0")
    assert (distiller.distance, distiller.angle) == (3.0, 0.0)
    assert distillers.build("soft-targets", temperature=7).temperature == 7.0


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("rkd", {"knobs": "angel=1"}, "--knobs: rkd has no knob 'angel'; it has distance, angle"),
        ("hard-targets", {"knobs": "a=1"}, "--knobs: hard-targets has no knob 'a'; it has none"),
        ("rkd", {"knobs": "angle"}, "--knobs is 'angle': give name=value,name=value"),
        ("soft-targets", {"knobs": "temperature=2"}, "--knobs has a temperature: give it as --temperature"),
        ("rkd", {"temperature": 2.0}, "--temperature is 2: rkd has no temperature; leave it out"),
    ],
)
def test_a_wrong_knob_is_refused_in_one_line(name: str, given: dict[str, str | float], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        distillers.build(name, **given)
    assert str(caught.value) == message


def test_a_temperature_out_of_range_and_an_unknown_distiller_are_refused() -> None:
    with pytest.raises(UsageError, match=r"temperature is '0': give a number from 0\.1 to 100 \(default 4\)"):
        distillers.build("soft-targets", temperature=0)
    with pytest.raises(UsageError, match="did you mean 'soft-targets'"):
        distillers.build("soft-target")


class Hints(Distiller):
    """A hint on a convolution's output through a projection, as FitNets have it (Romero et al. 2015)."""

    student_taps = ("1",)
    teacher_taps = ("1", "logits")

    def prepare(self, batch: DistillationBatch) -> None:
        self.projection = nn.Conv2d(batch.student["1"].shape[1], batch.teacher["1"].shape[1], kernel_size=1)

    def forward(self, batch: DistillationBatch) -> Tensor:
        return (self.projection(batch.student["1"]) - batch.teacher["1"]).square().mean()


def train_by_hints(data: Dataset, runtime: Runtime, student: nn.Module, teacher: Frozen) -> tuple[Hints, list[float]]:
    hints = Hints()
    seen: list[Tensor] = []
    training = fit(
        [Member("hints", student, alpha=0.0, distiller=hints)],
        data,
        Recipe(epochs=4, batch_size=16, weight_decay=0),
        runtime=runtime,
        teacher=teacher,
        on_step=lambda step: seen.append(hints.projection.weight.detach().clone()),
    )
    losses = [epoch.metrics[0]["train/distill_loss"] for epoch in training]
    assert not torch.equal(seen[0], seen[-1])
    return hints, losses


def test_a_new_distiller_with_a_projection_and_a_feature_map_trains_without_any_other_change(
    data: Dataset, runtime: Runtime, tiny: Callable[..., nn.Module], teacher: Frozen
) -> None:
    hints, losses = train_by_hints(data, runtime, tiny(0), teacher)
    assert losses[-1] < losses[0] / 2
    assert hints.projection.weight.shape == (4, 4, 1, 1)


def test_a_distillers_own_weights_follow_from_the_seed(
    data: Dataset, runtime: Runtime, tiny: Callable[..., nn.Module], teacher: Frozen
) -> None:
    students = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        before = torch.get_rng_state()
        students.append(tiny(0))
        train_by_hints(data, runtime, students[-1], teacher)
        assert torch.equal(torch.get_rng_state(), before), "the caller's random numbers are his own"
    assert all(torch.equal(a, b) for a, b in zip(*(student.parameters() for student in students), strict=True))
