"""Training that goes on from a saved epoch equals training that was never interrupted, bit for bit.

On the CPU, with the same number of threads. Where states are kept, and what kills do to them, is `test_checkpoint`'s;
that runs go on in MLflow where they stopped is told under `runs`.
"""

import io
import os
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_leaves

from kdflow import distillers, models
from kdflow.common.errors import KdflowError
from kdflow.config import DataConfig, Recipe
from kdflow.data import Dataset, load
from kdflow.device.runtime import Runtime
from kdflow.distillers.base import DistillationBatch, Distiller
from kdflow.models.features import EMBEDDING, STAGES, paired_stages
from kdflow.teachers.frozen import Frozen
from kdflow.training.cohort import Step
from kdflow.training.loop import Epoch, fit
from kdflow.training.member import Member

Tiny = Callable[..., nn.Module]
RECIPE = Recipe(epochs=4, batch_size=16, lr=0.1)


class Projected(Distiller):
    """Learns to see the teacher's embedding in the student's: weights, buffers and dropout of its own."""

    student_taps = (EMBEDDING,)
    teacher_taps = (EMBEDDING,)

    def prepare(self, batch: DistillationBatch) -> None:
        ours, theirs = batch.student[EMBEDDING].shape[1], batch.teacher[EMBEDDING].shape[1]
        self.projection = nn.Sequential(nn.Linear(ours, theirs), nn.BatchNorm1d(theirs), nn.Dropout(0.2))

    def forward(self, batch: DistillationBatch) -> Tensor:
        return functional.mse_loss(self.projection(batch.student[EMBEDDING]), batch.teacher[EMBEDDING])


class Staged(Distiller):
    """Hints on every stage, through a learned projection each."""

    student_taps = (STAGES,)
    teacher_taps = (STAGES,)

    def prepare(self, batch: DistillationBatch) -> None:
        self.pairs = paired_stages(batch.student, batch.teacher)
        widths = [(batch.student[ours].shape[1], batch.teacher[theirs].shape[1]) for ours, theirs in self.pairs]
        self.projections = nn.ModuleList(nn.Conv2d(*pair, kernel_size=1) for pair in widths)

    def forward(self, batch: DistillationBatch) -> dict[str, Tensor]:
        return {
            str(number): functional.mse_loss(projection(batch.student[ours]), batch.teacher[theirs])
            for number, ((ours, theirs), projection) in enumerate(zip(self.pairs, self.projections, strict=True))
        }


@dataclass(frozen=True)
class Case:
    """What is trained, and how."""

    members: tuple[tuple[float, str], ...] = ((1.0, ""), (0.0, "soft-targets"), (0.5, "soft-targets"))
    recipe: Recipe = RECIPE
    dropout: float = 0.0
    threads: int = 1
    dtype: torch.dtype = torch.float32
    known: bool = False

    def cohort(self, tiny: Tiny) -> list[Member]:
        return [
            Member(f"alpha={alpha:g}", tiny(0, dropout=self.dropout), alpha, distiller(kind))
            for alpha, kind in self.members
        ]


def distiller(kind: str) -> Distiller | None:
    own = {"projected": Projected, "staged": Staged}
    return own[kind]() if kind in own else distillers.build(kind) if kind else None


CASES = {
    "one of labels": Case(((1.0, ""),)),
    "three": Case(),
    "three with dropout": Case(dropout=0.5),
    "three whose teacher's logits are kept": Case(dropout=0.5, known=True),
    "three without momentum": Case(recipe=replace(RECIPE, momentum=0.0)),
    "three with a constant rate, no decay, no clipping": Case(
        recipe=replace(RECIPE, schedule="constant", weight_decay=0.0, clip_norm=0.0)
    ),
    "three in bfloat16": Case(dtype=torch.bfloat16),
    "three on two threads": Case(recipe=replace(RECIPE, epochs=2), dropout=0.5, threads=2),
    "distillers with weights of their own": Case(((0.5, "projected"), (0.0, "projected"), (0.5, "rkd")), dropout=0.5),
    "hints on stages": Case(((0.5, "staged"), (0.0, "staged"), (1.0, "")), dropout=0.5),
    "a last layer that gets no gradient": Case(((0.0, "rkd"), (1.0, ""))),
}


@pytest.fixture
def train(tiny: Tiny, data: Dataset, runtime: Runtime, teacher: Frozen) -> Iterator[Callable[..., Iterator[Epoch]]]:
    """`train(case, cohort, resume)` trains a cohort of a case, without keeping logits if the data are unknown."""
    before = torch.get_num_threads()

    def start(case: Case, cohort: list[Member], **options: Any) -> Iterator[Epoch]:
        torch.set_num_threads(case.threads)
        where = replace(runtime, dtype=case.dtype, threads=case.threads)
        on = data if case.known else replace(data, digest="")
        return fit(cohort, on, case.recipe, runtime=where, teacher=teacher, **options)

    yield start
    torch.set_num_threads(before)


def packed(state: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def unpacked(content: bytes) -> dict[str, Any]:
    return torch.load(io.BytesIO(content), weights_only=True)


def student_of(state: dict[str, Any]) -> dict[str, Tensor]:
    """The student's weights in a member's state, by the names that they have in the student."""
    learner = state["learner"]
    return {name.removeprefix("student."): learner[name] for name in learner if name.startswith("student.")}


def told(epoch: Epoch) -> list[dict[str, float]]:
    """All metrics but the seconds."""
    return [{name: value for name, value in one.items() if not name.startswith("speed/")} for one in epoch.metrics]


def same(one: Any, other: Any) -> bool:
    """Whether two states are the same to the last bit."""
    pairs = zip(tree_leaves(one), tree_leaves(other), strict=True)
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


# Two threads that share a busy core wait long for each other.
SLOW = {"three on two threads": [pytest.mark.slow]}


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=name, marks=SLOW.get(name, [])) for name, case in CASES.items()]
)
def test_from_whatever_epoch_training_goes_on_it_ends_as_if_never_interrupted(train, tiny: Tiny, case: Case) -> None:
    straight = [(told(epoch), packed(epoch.state)) for epoch in train(case, case.cohort(tiny))]
    assert len(straight) == case.recipe.epochs
    for done in range(1, case.recipe.epochs + 1):
        cohort = case.cohort(tiny)
        later = [
            (told(epoch), packed(epoch.state)) for epoch in train(case, cohort, resume=unpacked(straight[done - 1][1]))
        ]
        assert [metrics for metrics, _ in later] == [metrics for metrics, _ in straight[done:]]
        for (_, resumed), (_, uninterrupted) in zip(later, straight[done:], strict=True):
            assert same(unpacked(resumed), unpacked(uninterrupted)), f"after epoch {done}"
        for member, saved in zip(cohort, unpacked(straight[-1][1])["members"], strict=True):
            assert same(dict(member.model.state_dict()), student_of(saved)), f"after epoch {done}"


def test_the_cases_have_what_they_are_named_after(train, tiny: Tiny) -> None:
    def last(name: str) -> list[dict[str, Any]]:
        return list(train(CASES[name], CASES[name].cohort(tiny)))[-1].state["members"]

    assert not any(
        isinstance(leaf, Tensor) for leaf in tree_leaves([one["optimiser"] for one in last("three without momentum")])
    )
    assert all(list(one["optimiser"]) == list(range(8)) for one in last("three"))
    ungiven, _ = last("a last layer that gets no gradient")
    assert list(ungiven["optimiser"]) == list(range(6))
    own, *_ = last("distillers with weights of their own")
    assert {"distiller.projection.0.weight", "distiller.projection.1.running_mean"} < set(own["learner"])
    fresh = Case().cohort(tiny)[0].model.state_dict()
    assert not any(same(student_of(one), dict(fresh)) for one in last("three"))


def test_training_stopped_within_an_epoch_goes_on_from_the_one_before(train, tiny: Tiny) -> None:
    case = CASES["three with dropout"]
    uninterrupted = packed(list(train(case, case.cohort(tiny)))[-1].state)
    kept: list[bytes] = []

    def interrupt(step: Step) -> None:
        if len(kept) == 2 and step.number == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.extend(packed(epoch.state) for epoch in train(case, case.cohort(tiny), on_step=interrupt))
    *_, last = train(case, case.cohort(tiny), resume=unpacked(kept[-1]))
    assert same(unpacked(packed(last.state)), unpacked(uninterrupted))


def test_after_the_last_epoch_nothing_is_left_to_do_and_the_models_stand_as_trained(train, tiny: Tiny) -> None:
    trained, again = Case().cohort(tiny), Case().cohort(tiny)
    *_, last = train(Case(), trained)
    assert list(train(Case(), again, resume=unpacked(packed(last.state)))) == []
    for one, other in zip(trained, again, strict=True):
        assert same(dict(one.model.state_dict()), dict(other.model.state_dict()))
        assert not any(module.training or module._forward_hooks for module in other.model.modules())


def test_a_state_is_that_of_the_models_themselves_until_the_next_epoch(train, tiny: Tiny) -> None:
    cohort = Case().cohort(tiny)
    training = train(Case(), cohort)
    epoch = next(training)
    before = packed(epoch.state)
    for member, state in zip(cohort, epoch.state["members"], strict=True):
        for parameter, saved in zip(member.model.parameters(), student_of(state).values(), strict=False):
            assert parameter.data_ptr() == saved.data_ptr()
            break
    assert epoch.state["epoch"] == epoch.number == 1
    next(training)
    assert not same(unpacked(packed(epoch.state)), unpacked(before))


def test_a_state_can_be_used_again_as_training_copies_it(train, tiny: Tiny) -> None:
    state = unpacked(packed(next(train(Case(), Case().cohort(tiny))).state))
    before = deepcopy(state)
    ends = [packed(list(train(Case(), Case().cohort(tiny), resume=state))[-1].state) for _ in range(2)]
    assert same(state, before)
    assert same(*map(unpacked, ends))


def test_going_on_leaves_the_callers_random_numbers_alone(train, tiny: Tiny) -> None:
    case = CASES["distillers with weights of their own"]
    state = unpacked(packed(next(train(case, case.cohort(tiny))).state))
    torch.manual_seed(123)
    before = torch.get_rng_state()
    list(train(case, case.cohort(tiny), resume=state))
    assert torch.equal(torch.get_rng_state(), before)


def without(state: dict[str, Any], *path: Any) -> None:
    for part in path[:-1]:
        state = state[part]
    del state[path[-1]]


def put(value: Any, state: dict[str, Any], *path: Any) -> None:
    for part in path[:-1]:
        state = state[part]
    state[path[-1]] = value


MISFITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no epoch": (lambda state: without(state, "epoch"), "the saved state is of epoch None, not of one from 1 to 4;"),
    "too late": (lambda state: put(5, state, "epoch"), "the saved state is of epoch 5, not of one from 1 to 4;"),
    "too early": (lambda state: put(0, state, "epoch"), "the saved state is of epoch 0, not of one from 1 to 4;"),
    "a flag": (lambda state: put(True, state, "epoch"), "the saved state is of epoch True, "),
    "no members": (lambda state: without(state, "members"), "the saved state is of no models, not of 3;"),
    "one less": (lambda state: without(state, "members", 1), "the saved state is of 2 models, not of 3;"),
    "no table": (lambda state: put(None, state, "members", 1), "alpha=0: the saved weights do not fit at"),
    "no model": (lambda state: without(state, "members", 1, "learner"), "alpha=0: the saved weights do not fit at "),
    "no momentum": (lambda state: without(state, "members", 0, "optimiser"), "alpha=1: the saved optimiser does not"),
    "a name less": (
        lambda state: without(state, "members", 0, "learner", "student.2.running_var"),
        "alpha=1: the saved weights do not fit at 'student.2.running_var';",
    ),
    "a name more": (
        lambda state: put(None, state, "members", 0, "learner", "student.8.weight"),
        "alpha=1: the saved weights do not fit at 'student.8.weight';",
    ),
    "another shape": (
        lambda state: put(torch.zeros(8, 65), state, "members", 2, "learner", "student.5.weight"),
        "alpha=0.5: the saved weights do not fit at 'student.5.weight';",
    ),
    "another type": (
        lambda state: put(torch.zeros(8, dtype=torch.float64), state, "members", 2, "learner", "student.5.bias"),
        "alpha=0.5: the saved weights do not fit at 'student.5.bias';",
    ),
    "a number": (
        lambda state: put(3.0, state, "members", 2, "learner", "student.5.bias"),
        "alpha=0.5: the saved weights do not fit at 'student.5.bias';",
    ),
    "momentum of another shape": (
        lambda state: put(torch.zeros(7), state, "members", 2, "optimiser", 3, "momentum_buffer"),
        "alpha=0.5: the saved optimiser does not fit at 3;",
    ),
    "momentum of nothing": (
        lambda state: put(torch.zeros(7), state, "members", 2, "optimiser", 99),
        "alpha=0.5: the saved optimiser does not fit at 99;",
    ),
    "a distiller with weights": (
        lambda state: put(torch.zeros(7), state, "members", 2, "learner", "distiller.projection"),
        "alpha=0.5: the saved weights do not fit at 'distiller.projection';",
    ),
}


@pytest.mark.parametrize(("change", "message"), MISFITS.values(), ids=MISFITS.keys())
def test_the_state_of_something_else_is_refused_in_one_line(train, tiny: Tiny, change, message: str) -> None:
    state = unpacked(packed(next(train(Case(), Case().cohort(tiny))).state))
    change(state)
    with pytest.raises(KdflowError) as caught:
        list(train(Case(), Case().cohort(tiny), resume=state))
    assert str(caught.value).startswith(message)
    assert str(caught.value).endswith("; start a new run")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, os.cpu_count() or 1])
def test_a_study_on_real_images_goes_on_bit_for_bit(runtime: Runtime, threads: int) -> None:
    data = replace(load(DataConfig(dataset="digits")), digest="")
    teacher = Frozen(models.build("alexnet", 10, seed=3))
    recipe = Recipe(epochs=3, batch_size=128)

    def train(**options: Any) -> list[tuple[list[dict[str, float]], bytes]]:
        cohort = [
            Member(f"{alpha:g}", models.build("small-cnn", 10, seed=0), alpha, distillers.build("soft-targets"))
            for alpha in (1.0, 0.0, 0.5)
        ]
        where = replace(runtime, threads=threads)
        epochs = fit(cohort, data, recipe, runtime=where, teacher=teacher, **options)
        return [(told(epoch), packed(epoch.state)) for epoch in epochs]

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        straight = train()
        for done in (1, 2):
            later = train(resume=unpacked(straight[done - 1][1]))
            assert [metrics for metrics, _ in later] == [metrics for metrics, _ in straight[done:]]
            assert same(unpacked(later[-1][1]), unpacked(straight[-1][1]))
    finally:
        torch.set_num_threads(before)
