"""Logits that are kept for later students: used only for the very same batches, and without a trace in the result.

That a damaged or full cache folder is survived is `test_cache`'s; CUDA is `test_graphed`'s.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from kdflow import distillers
from kdflow.common import cache
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.models.features import LOGITS
from kdflow.teachers.frozen import Frozen
from kdflow.teachers.shared import SharedTeacher
from kdflow.training.cohort import Step
from kdflow.training.loop import fit
from kdflow.training.member import Member

Tiny = Callable[..., nn.Module]
RECIPE = Recipe(epochs=3, batch_size=16, lr=0.1)
SAMPLE = [2]  # images that a distiller is shown before training
VALIDATION, EPOCH = [16], [16] * 4


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@dataclass
class Trained:
    """How many images the teacher saw at a time, and all that must repeat bit for bit."""

    seen: list[int]
    weights: list[dict[str, Tensor]]
    metrics: list[dict[str, float]]


Train = Callable[..., Trained]


@pytest.fixture
def train(data: Dataset, runtime: Runtime, tiny: Tiny) -> Train:
    """`train()` trains a student on the teacher's predictions; what is named is changed, also of the recipe."""

    def run(
        *members: tuple[float, str],
        teacher: nn.Module | None = None,
        on: Dataset = data,
        where: Runtime = runtime,
        stop_after: int = RECIPE.epochs,
        on_step: Callable[[Step], None] = lambda step: None,
        **recipe: Any,
    ) -> Trained:
        seen: list[int] = []
        teacher = teacher or a_teacher(tiny)
        teacher.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
        cohort = [
            Member(str(number), tiny(0, dropout=0.5), alpha, distillers.build(kind))
            for number, (alpha, kind) in enumerate(members or [(0.0, "soft-targets")])
        ]
        epochs = fit(cohort, on, replace(RECIPE, **recipe), runtime=where, teacher=Frozen(teacher), on_step=on_step)
        metrics = [metrics for epoch in islice(epochs, stop_after) for metrics in epoch.metrics]
        timeless = [{name: one[name] for name in one if not name.startswith("speed/")} for one in metrics]
        return Trained(seen, [member.model.state_dict() for member in cohort], timeless)

    return run


def a_teacher(tiny: Tiny, seed: int = 100) -> nn.Module:
    return tiny(seed, dropout=0.5, width=12)


def assert_same(one: Trained, other: Trained) -> None:
    assert one.metrics == other.metrics
    torch.testing.assert_close(one.weights, other.weights, rtol=0, atol=0)


def entries() -> list[str]:
    return sorted(path.name.partition("-")[2] for path in cache.folder().glob("*"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_second_student_of_the_same_batches_ends_the_same_though_the_teacher_rests(
    train: Train, runtime: Runtime, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, dtype: torch.dtype
) -> None:
    where = replace(runtime, dtype=dtype)
    first, second = train(where=where), train(where=where)
    assert first.seen == SAMPLE + VALIDATION + 3 * EPOCH
    assert second.seen == SAMPLE
    assert entries() == ["epoch-1.pt", "epoch-2.pt", "epoch-3.pt", "validation.pt"]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    unaided = train(where=where)
    assert unaided.seen == first.seen
    assert_same(first, second)
    assert_same(first, unaided)


def test_a_cohort_learns_the_same_from_kept_logits(train: Train) -> None:
    members = [(1.0, "soft-targets"), (0.0, "soft-targets"), (0.5, "hard-targets"), (0.5, "soft-targets")]
    first, second = train(*members), train(*members)
    assert second.seen == SAMPLE
    assert_same(first, second)
    alone = train(members[1])
    assert alone.seen == SAMPLE
    torch.testing.assert_close(alone.weights[0], first.weights[1], rtol=0, atol=0)


def test_a_run_that_was_stopped_leaves_the_epochs_that_it_finished(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert train(stop_after=1).seen == SAMPLE + VALIDATION + EPOCH
    whole = train()
    assert whole.seen == SAMPLE + 2 * EPOCH
    assert train().seen == SAMPLE
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert_same(whole, train())


def test_an_epoch_that_was_cut_off_is_not_kept(train: Train) -> None:
    def interrupt(step: Step) -> None:
        if step.number == 4:  # the last
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(on_step=interrupt)
    assert entries() == ["validation.pt"]
    assert train().seen == SAMPLE + 3 * EPOCH


def test_a_longer_training_takes_what_a_shorter_one_kept(train: Train) -> None:
    train(epochs=1)
    assert train(epochs=2).seen == SAMPLE + EPOCH


def test_a_damaged_entry_is_taught_again(train: Train) -> None:
    first = train()
    (damaged,) = cache.folder().glob("*-epoch-2.pt")
    damaged.write_bytes(damaged.read_bytes()[:-100])
    second = train()
    assert second.seen == SAMPLE + EPOCH
    assert_same(first, second)


def nudged(model: nn.Module, name: str) -> nn.Module:
    model.state_dict()[name][0] += 1e-6
    return model


def with_tanh(model: nn.Module) -> nn.Module:
    model[6] = nn.Tanh()  # type: ignore[index, operator]
    return model


OTHERWISE: dict[str, Callable[[Tiny, Dataset, Runtime], dict[str, Any]]] = {
    "weights": lambda tiny, data, runtime: {"teacher": a_teacher(tiny, 101)},
    "one weight": lambda tiny, data, runtime: {"teacher": nudged(a_teacher(tiny), "7.bias")},
    "one statistic": lambda tiny, data, runtime: {"teacher": nudged(a_teacher(tiny), "2.running_mean")},
    "architecture": lambda tiny, data, runtime: {"teacher": with_tanh(a_teacher(tiny))},
    "batch size": lambda tiny, data, runtime: {"batch_size": 32},
    "data": lambda tiny, data, runtime: {"on": replace(data, digest="e" * 32)},
    "split": lambda tiny, data, runtime: {"on": replace(data, split_digest="t" * 32)},
    "mirrored": lambda tiny, data, runtime: {"on": replace(data, mirrored=False)},
    "seed": lambda tiny, data, runtime: {"where": replace(runtime, seed=1)},
    "dtype": lambda tiny, data, runtime: {"where": replace(runtime, dtype=torch.bfloat16)},
    "threads": lambda tiny, data, runtime: {"where": replace(runtime, threads=2)},
    "deterministic": lambda tiny, data, runtime: {"where": replace(runtime, deterministic=True)},
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_whatever_could_change_a_logit_is_taught_again(
    train: Train, tiny: Tiny, data: Dataset, runtime: Runtime, what: str
) -> None:
    train(epochs=1)
    changed = train(epochs=1, **OTHERWISE[what](tiny, data, runtime))
    assert sum(changed.seen) == sum(SAMPLE + VALIDATION + EPOCH)
    assert train(epochs=1).seen == SAMPLE, "what was kept first is still there"


def test_another_version_of_torch_or_kdflow_teaches_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    train()
    monkeypatch.setattr(cache, "__version__", "99.0")
    assert train().seen == SAMPLE + VALIDATION + 3 * EPOCH


def test_what_only_the_student_does_with_logits_does_not_matter(train: Train) -> None:
    train()
    assert train(lr=0.01, momentum=0.5, weight_decay=0.1, clip_norm=1, schedule="cosine").seen == SAMPLE
    assert train((0.5, "soft-targets")).seen == SAMPLE
    assert train((0.0, "hard-targets")).seen == SAMPLE


def test_images_of_unknown_origin_are_taught_each_time(train: Train, data: Dataset) -> None:
    unknown = replace(data, digest="")
    assert train(on=unknown).seen == train(on=unknown).seen == SAMPLE + VALIDATION + 3 * EPOCH
    assert entries() == []


@pytest.mark.parametrize("members", [[(0.5, "rkd")], [(0.5, "rkd"), (0.5, "soft-targets")]])
def test_what_is_more_than_logits_is_not_kept(train: Train, members: list[tuple[float, str]]) -> None:
    train()  # the logits of these batches are there, and would not be enough
    kept = entries()
    assert train(*members).seen == train(*members).seen == SAMPLE + VALIDATION + 3 * EPOCH
    assert entries() == kept


def test_students_of_labels_keep_nothing_and_never_run_the_teacher(train: Train) -> None:
    assert train((1.0, "soft-targets")).seen == []
    assert entries() == []


def test_training_goes_on_where_nothing_can_be_kept(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    usual = train()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        without = train()
    assert len(told) == 1, "one line, though four times nothing could be kept"
    assert "cannot keep anything" in str(told[0].message)
    assert_same(usual, without)


def test_all_batches_are_taught_as_each_alone_would_be(runtime: Runtime, tiny: Tiny) -> None:
    images, labels = torch.randn(10, 3, 32, 32, generator=torch.Generator().manual_seed(0)), torch.arange(10)
    batches = list(zip(images.split(4), labels.split(4), labels.split(4), strict=True))
    seen: list[int] = []
    teacher = tiny(1)
    teacher.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    shared = SharedTeacher(Frozen(teacher), {LOGITS}, runtime, stream=("these",))
    first = list(shared.teach_all(batches, "part"))
    second = list(shared.teach_all(iter(batches), "part"))
    assert seen == [4, 4, 2]
    for (ours, theirs, places), one, other in zip(batches, first, second, strict=True):
        for taught in (one, other):
            assert torch.equal(taught.images, ours)
            assert torch.equal(taught.labels, theirs)
            assert torch.equal(taught.index, places)
            assert torch.equal(taught.teacher[LOGITS], shared.teach(ours, theirs, places).teacher[LOGITS])
    seen.clear()
    list(shared.teach_all(batches, "other part"))
    assert seen == [4, 4, 2]
