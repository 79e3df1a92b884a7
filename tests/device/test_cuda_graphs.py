"""Recording and replaying: one call is like the other, on the CPU, on CUDA, and on a stand-in for CUDA graphs.

The stand-in keeps the rules of CUDA graphs that a mistake would break: recording computes nothing, replaying computes
the same operations in the same places, and waiting for a result is an error. What it cannot show (streams, memory, the
speed) is left to the tests that need a GPU; `make test` skips them where there is none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from kdflow import distillers
from kdflow.config import Recipe, RuntimeConfig
from kdflow.data import Dataset
from kdflow.data.batches import training_batches
from kdflow.device import cuda_graphs
from kdflow.device.cuda_graphs import WARM_UP, Graphed
from kdflow.device.runtime import Runtime, resolve
from kdflow.models.export import Normalised
from kdflow.teachers.frozen import Frozen
from kdflow.teachers.shared import SharedTeacher
from kdflow.training.cohort import CohortStep, Step, teacher_taps
from kdflow.training.loop import _train_epoch, fit
from kdflow.training.member import Member, MemberTrainer
from kdflow.training.schedules import EpochSchedule

Tiny = Callable[..., nn.Module]
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1)
IMAGES = torch.randn(48, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(48) % 4

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="a real CUDA graph needs a CUDA device")


def tensors(tree: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Waiting(TorchDispatchMode):
    """Refuses to read a number back, for which a program would have to wait for the device."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            raise RuntimeError(f"{operation} waits for the device")
        return operation(*args, **(kwargs or {}))


class Tape(Waiting):
    """Stands in for `torch.cuda.CUDAGraph`: operations on fixed places in memory, here that of the CPU."""

    def __init__(self) -> None:
        super().__init__()
        self._operations: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tensors((args, kwargs))
        before = [tensor.clone() for tensor in given]
        output = super().__torch_dispatch__(operation, types, args, kwargs)
        for tensor, value in zip(given, before, strict=True):
            if not torch.equal(tensor.nan_to_num(), value.nan_to_num()):
                tensor.data.copy_(value)
        for fresh in tensors(output):
            if fresh.is_floating_point() and place(fresh) not in map(place, given):
                fresh.data.fill_(float("nan"))
        self._operations.append((operation, args, kwargs or {}, tensors(output)))
        return output

    @torch.no_grad()
    def replay(self) -> None:
        for operation, args, kwargs, outputs in self._operations:
            for old, new in zip(outputs, tensors(operation(*args, **kwargs)), strict=True):
                if place(old) != place(new):
                    old.copy_(new)


@pytest.fixture
def tapes(monkeypatch: pytest.MonkeyPatch) -> list[Tape]:
    """Lets `Graphed` take the CPU for CUDA; all that was recorded."""
    made: list[Tape] = []

    @contextmanager
    def record(tape: Tape) -> Iterator[None]:
        made.append(tape)
        with torch.random.fork_rng(), tape:
            yield

    stream = SimpleNamespace(wait_stream=lambda other: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Tape)
    monkeypatch.setattr(torch.cuda, "graph", record)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device=None: stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device=None: stream)
    monkeypatch.setattr(torch.cuda, "stream", nullcontext)
    return made


def numbered(call: int, *shape: int) -> Tensor:
    return torch.full(shape or (3,), float(call))


def test_nothing_is_recorded_unless_it_is_asked_for(runtime: Runtime) -> None:
    def function(value: Tensor) -> Tensor:
        return value

    assert runtime.recorded(function) is function
    assert isinstance(replace(runtime, cuda_graphs=True).recorded(function), Graphed)
    assert not resolve(RuntimeConfig(device="cpu", cuda_graphs=True)).cuda_graphs, "not on the CPU"


def test_the_fourth_call_is_recorded_and_later_ones_only_replay_it(tapes: list[Tape]) -> None:
    ran: list[int] = []

    def function(value: Tensor) -> Tensor:
        ran.append(len(tapes))
        return value * 2 + 1

    call = Graphed(function)
    for number in range(8):
        assert torch.equal(call(numbered(number)), numbered(2 * number + 1)), number
        assert len(tapes) == (number >= WARM_UP)
    assert ran == [0] * WARM_UP + [1]


def test_a_result_stays_when_the_next_is_computed(tapes: list[Tape]) -> None:
    single = Graphed(lambda value: value + 1)
    named = Graphed(lambda value: {"one": value + 1, "same": value})
    results = [(single(numbered(number)), named(numbered(number))) for number in range(8)]
    for number, (one, several) in enumerate(results):
        assert torch.equal(one, numbered(number + 1))
        assert list(several) == ["one", "same"]
        assert torch.equal(several["one"], numbered(number + 1))
        assert torch.equal(several["same"], numbered(number))
    assert len(tapes) == 2


def test_what_was_passed_in_is_neither_kept_nor_overwritten(tapes: list[Tape]) -> None:
    call = Graphed(lambda value: value * 1)
    given = [numbered(number) for number in range(8)]
    for number, value in enumerate(given):
        result = call(value)
        value += 100
        assert torch.equal(result, numbered(number))
    assert all(torch.equal(value, numbered(number + 100)) for number, value in enumerate(given))


@pytest.mark.parametrize("odd", [{0}, {2}, {4}, {5, 7}, {4, 5, 6, 7}])
def test_other_shapes_are_computed_too_and_disturb_nothing(tapes: list[Tape], odd: set[int]) -> None:
    call = Graphed(lambda value, rate: value * rate)
    for number in range(10):
        shape = (2,) if number in odd else (3,)
        assert torch.equal(call(numbered(number, *shape), torch.tensor(0.5)), numbered(number, *shape) / 2)
    assert len(tapes) == sum(count > WARM_UP for count in (len(odd), 10 - len(odd))), "a recording for each shape"


def test_what_a_call_changes_in_place_is_changed_once_a_call(tapes: list[Tape]) -> None:
    total = torch.zeros(())

    def function(value: Tensor) -> Tensor:
        total.add_(value.sum())
        return total

    call = Graphed(function)
    seen = [call(numbered(1)).clone().item() for _ in range(8)]
    assert seen == [3.0 * number for number in range(1, 9)]


def test_chance_is_drawn_afresh_at_each_replay_and_follows_from_the_seed(tapes: list[Tape]) -> None:
    call = Graphed(lambda value: torch.dropout(value, 0.5, train=True))
    masks = []
    with torch.random.fork_rng():
        for seed in (0, 1, 2, 3, 4, 5, 6, 4):
            torch.manual_seed(seed)
            masks.append(call(numbered(1, 64)))
    assert torch.equal(masks[4], masks[7])
    assert not any(torch.equal(one, other) for number, one in enumerate(masks[:7]) for other in masks[:number])


def test_a_function_that_waits_for_the_device_cannot_be_recorded(tapes: list[Tape]) -> None:
    call = Graphed(lambda value: value * value.sum().item())
    for _ in range(WARM_UP):
        call(numbered(1))
    with pytest.raises(RuntimeError, match="waits for the device"):
        call(numbered(1))


def a_cohort(tiny: Tiny, *, dropout: float = 0.0) -> list[Member]:
    return [
        Member("both", tiny(0, dropout=dropout), 0.5, distillers.build("soft-targets")),
        Member("relations", tiny(0, dropout=dropout), 0.5, distillers.build("rkd")),
        Member("labels", tiny(0, dropout=dropout)),
    ]


def steps(cohort: list[Member], tiny: Tiny, runtime: Runtime) -> list[Any]:
    """Sums of nine steps, and the weights after them."""
    shared = SharedTeacher(Frozen(tiny(1)), teacher_taps(cohort), runtime)
    places = [torch.arange(48)[first:][:12] for first in (0, 12, 24, 36, 0, 42, 12, 24, 36)]
    batches = [shared.teach(IMAGES[part], LABELS[part], part) for part in places]
    trainers = [MemberTrainer(member, RECIPE, runtime, batches[0]) for member in cohort]
    step = CohortStep(trainers, runtime)
    rates = torch.linspace(0.1, 0.01, len(batches)).unbind()
    with torch.random.fork_rng():
        sums = [
            step(batch, rate=rate, progress=rate, dropout_seed=number).values
            for number, (batch, rate) in enumerate(zip(batches, rates, strict=True))
        ]
    return [sums, [trainer.model.state_dict() for trainer in trainers]]


# Each member of a cohort gets the dropout that it would have alone on the CPU only.
@pytest.mark.parametrize(("members", "dropout"), [(1, 0.5), (2, 0.0), (3, 0.0)])
def test_replayed_steps_of_a_cohort_are_the_steps_themselves(
    tiny: Tiny, runtime: Runtime, tapes: list[Tape], members: int, dropout: float
) -> None:
    plain = steps(a_cohort(tiny, dropout=dropout)[:members], tiny, runtime)
    assert not tapes
    replayed = steps(a_cohort(tiny, dropout=dropout)[:members], tiny, replace(runtime, cuda_graphs=True))
    assert len(tapes) == 1
    torch.testing.assert_close(replayed, plain, rtol=0, atol=0)


def test_an_epoch_reads_no_number_back(tiny: Tiny, runtime: Runtime) -> None:
    cohort = a_cohort(tiny)
    shared = SharedTeacher(Frozen(tiny(1)), teacher_taps(cohort), runtime)
    batches = list(zip(IMAGES.split(12), LABELS.split(12), torch.arange(48).split(12), strict=True))
    trainers = [
        MemberTrainer(member, RECIPE, runtime, shared.teach(IMAGES[:2], LABELS[:2], torch.arange(2)))
        for member in cohort
    ]
    done: list[Step] = []
    schedule = EpochSchedule(1, [0.1] * 4, [0.0] * 4)
    with Waiting():
        step = CohortStep(trainers, runtime)
        last = _train_epoch(step, shared.teach_all(batches, "epoch"), schedule, runtime, done.append)
        with pytest.raises(RuntimeError, match="waits for the device"):
            last.sums.values.sum().item()
    assert [step.seen for step in done] == [12, 24, 36, 48]


@pytest.fixture
def gpu() -> Iterator[Runtime]:
    """CUDA in float32, without the shortcuts of TF32."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    yield Runtime(0, CUDA, torch.float32, torch.get_num_threads(), cuda_graphs=True)
    torch.backends.cudnn.allow_tf32 = before


@needs_cuda
def test_on_cuda_results_are_those_of_the_function_and_stay() -> None:
    weight = torch.ones(3, device=CUDA)

    def function(value: Tensor, rate: Tensor) -> dict[str, Tensor]:
        return {"product": value * weight * rate, "sum": value.sum()}

    call = Graphed(function)
    results = []
    for number in range(10):
        shape = (2, 3) if number in (1, 5, 7) else (3,)
        value, rate = numbered(number, *shape).to(CUDA), torch.tensor(0.5**number, device=CUDA)
        results.append((call(value, rate), value.clone(), rate.clone()))
        value += 100
    assert call._graph is not None
    for result, value, rate in results:
        torch.testing.assert_close(result, {"product": value * rate, "sum": value.sum()})


@needs_cuda
def test_on_cuda_chance_is_drawn_afresh_at_each_replay_and_follows_from_the_seed() -> None:
    call = Graphed(lambda value: torch.dropout(value, 0.5, train=True))
    value, masks = torch.ones(4096, device=CUDA), []
    with torch.random.fork_rng(devices=[CUDA]):
        for seed in (0, 1, 2, 3, 4, 5, 6, 4):
            torch.manual_seed(seed)
            masks.append(call(value))
    assert torch.equal(masks[4], masks[7])
    assert not any(torch.equal(one, other) for number, one in enumerate(masks[:7]) for other in masks[:number])


@needs_cuda
def test_on_cuda_a_cohort_ends_with_graphs_as_it_does_without(
    tiny: Tiny, data: Dataset, gpu: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = replace(data, digest="")  # so that no logits are kept from one training to the other

    def train(warm_up: int) -> list[list[float]]:
        monkeypatch.setattr(cuda_graphs, "WARM_UP", warm_up)
        epochs = fit(a_cohort(tiny), unknown, RECIPE, runtime=gpu, teacher=Frozen(tiny(1)))
        return [[metrics[name] for name in ("train/loss", "val/loss")] for epoch in epochs for metrics in epoch.metrics]

    torch.testing.assert_close(train(WARM_UP), train(10**6), rtol=1e-3, atol=1e-4)


@needs_cuda
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # torch says that it is a prototype
def test_on_cuda_an_epoch_of_replays_waits_for_nothing(tiny: Tiny, data: Dataset, gpu: Runtime) -> None:
    train, normalise = data.train.to(CUDA), Normalised(data.mean, data.std).to(CUDA)
    cohort = a_cohort(tiny, dropout=0.5)
    shared = SharedTeacher(Frozen(tiny(1)), teacher_taps(cohort), gpu)
    sample = shared.teach(normalise(train.images[:2]), train.labels[:2], torch.arange(2, device=CUDA))
    step = CohortStep([MemberTrainer(member, RECIPE, gpu, sample) for member in cohort], gpu)

    def epoch(number: int, mode: str) -> Step:
        drawn = training_batches(train, seed=0, epoch=number, batch_size=16, mirrored=True, at_once=True)
        shown = [(normalise(batch.images), batch.labels, batch.index) for batch in drawn]
        schedule = EpochSchedule(number, [0.1, 0.08, 0.06, 0.04], [0.0, 0.25, 0.5, 0.75])
        torch.cuda.set_sync_debug_mode(mode)
        try:
            batches = shared.teach_all(shown, f"epoch-{number}")
            return _train_epoch(step, batches, schedule, gpu, lambda step: None)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    for number in (1, 2):
        epoch(number, "default")
    last = epoch(3, "error")
    assert last.seen == 64
    assert last.sums.isfinite().all()
