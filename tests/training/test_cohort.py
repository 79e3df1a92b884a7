"""A member's loss, gradient and step, and that company changes nothing for it.

The parts of the loss have files of their own under `distillers`; epochs, metrics and seeds are `test_train`'s.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from kdflow import distillers
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.distillers.base import DistillationBatch, Distiller
from kdflow.distillers.response.soft_targets import soft_target_loss
from kdflow.teachers.frozen import Frozen
from kdflow.teachers.shared import CohortBatch, SharedTeacher
from kdflow.training.cohort import teacher_taps
from kdflow.training.loop import fit
from kdflow.training.member import Member, MemberTrainer

Tiny = Callable[..., nn.Module]
ALPHAS = [0.0, 1e-6, 0.25, 0.5, 1 - 1e-6, 1.0]
RECIPE = Recipe(epochs=2, batch_size=16, lr=0.1)
IMAGES = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 4
INDEX = torch.arange(12)


def member(model: nn.Module, alpha: float, distiller: str = "soft-targets") -> Member:
    return Member(f"alpha={alpha:g}", model, alpha, distillers.build(distiller))


def trainer(
    model: nn.Module, alpha: float, runtime: Runtime, teacher: nn.Module | None, **recipe: float
) -> tuple[MemberTrainer, CohortBatch]:
    one = member(model, alpha)
    batch = SharedTeacher(Frozen(teacher) if teacher else None, teacher_taps([one]), runtime).teach(
        IMAGES, LABELS, INDEX
    )
    return MemberTrainer(one, replace(RECIPE, **recipe), runtime, batch), batch


def losses(
    model: nn.Module, alpha: float, runtime: Runtime, teacher: nn.Module | None, labels: Tensor = LABELS
) -> dict[str, Tensor]:
    one, batch = trainer(model, alpha, runtime, teacher)
    return one.losses({"logits": model(IMAGES)}, replace(batch, labels=labels))


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(loss, list(model.parameters())))


def equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def weights(model: nn.Module) -> list[Tensor]:
    return list(model.state_dict().values())


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_loss_is_linear_in_alpha_also_at_the_ends(tiny: Tiny, runtime: Runtime, alpha: float) -> None:
    model, teacher = tiny(0), tiny(1)
    total = losses(model, alpha, runtime, teacher)["loss"]
    label = functional.cross_entropy(model(IMAGES), LABELS)
    distill = soft_target_loss(model(IMAGES), Frozen(teacher)(IMAGES), 4.0)
    torch.testing.assert_close(total, alpha * label + (1 - alpha) * distill)
    assert distill > 5 * label, "T^2 must not be lost on the way"


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_the_parts_of_the_loss_are_reported_unweighted(tiny: Tiny, runtime: Runtime, alpha: float) -> None:
    model, teacher = tiny(0), tiny(1)
    parts = losses(model, alpha, runtime, teacher)
    torch.testing.assert_close(parts["label_loss"], functional.cross_entropy(model(IMAGES), LABELS))
    assert ("distill_loss" in parts) == (alpha < 1)
    if alpha < 1:
        expected = soft_target_loss(model(IMAGES), Frozen(teacher)(IMAGES), 4.0)
        torch.testing.assert_close(parts["distill_loss"], expected)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_labels_count_at_alpha_above_zero(tiny: Tiny, runtime: Runtime, alpha: float) -> None:
    model, teacher = tiny(0), tiny(1)
    one, other = (losses(model, alpha, runtime, teacher, labels)["loss"] for labels in (LABELS, LABELS.flip(0)))
    assert not equal(gradients(model, one), gradients(model, other))


def test_at_alpha_one_the_gradient_does_not_depend_on_the_teacher(tiny: Tiny, runtime: Runtime) -> None:
    model = tiny(0)
    one, other, none = (
        gradients(model, losses(model, 1.0, runtime, teacher)["loss"]) for teacher in (tiny(1), tiny(2), None)
    )
    assert equal(one, other)
    assert equal(one, none)
    assert equal(one, gradients(model, functional.cross_entropy(model(IMAGES), LABELS)))


def test_at_alpha_zero_the_gradient_does_not_depend_on_the_labels(tiny: Tiny, runtime: Runtime) -> None:
    model, teacher = tiny(0), tiny(1)
    one, other = (
        gradients(model, losses(model, 0.0, runtime, teacher, labels)["loss"]) for labels in (LABELS, LABELS.flip(0))
    )
    assert equal(one, other)


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_the_teacher_counts_at_alpha_below_one(tiny: Tiny, runtime: Runtime, alpha: float) -> None:
    model = tiny(0)
    one, other = (gradients(model, losses(model, alpha, runtime, tiny(seed))["loss"]) for seed in (1, 2))
    assert not equal(one, other)


def test_a_step_is_a_step_of_nesterov_momentum_at_its_rate(tiny: Tiny, runtime: Runtime) -> None:
    model, same = tiny(0), tiny(0)
    one, batch = trainer(model, 1.0, runtime, None, clip_norm=0.0, weight_decay=0.01)
    reference = torch.optim.SGD(same.parameters(), lr=1.0, momentum=0.9, nesterov=True, weight_decay=0.01)
    for rate in (0.1, 0.03):
        one.step(batch, rate=rate)
        reference.param_groups[0]["lr"] = rate
        reference.zero_grad()
        functional.cross_entropy(same(IMAGES), LABELS).backward()
        reference.step()
    for ours, theirs in zip(weights(model), weights(same), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_step_reports_sums_over_its_images(tiny: Tiny, runtime: Runtime) -> None:
    model = tiny(0)
    one, batch = trainer(model, 0.5, runtime, tiny(1))
    logits = tiny(0)(IMAGES)
    label = functional.cross_entropy(logits, LABELS) * 12
    distill = soft_target_loss(logits, batch.teacher["logits"], 4.0) * 12
    hits = (logits.argmax(1) == LABELS).sum()
    parts = {"loss": 0.5 * label + 0.5 * distill, "label_loss": label, "distill_loss": distill, "accuracy": hits}
    expected = {f"train/{name}": value.detach() for name, value in parts.items()}
    torch.testing.assert_close(one.step(batch, rate=0.1), expected)


@pytest.mark.parametrize(("clip_norm", "length"), [(0.01, 0.01), (0.1, 0.1), (0.0, None)])
def test_clipping_limits_the_length_of_a_step(
    tiny: Tiny, runtime: Runtime, clip_norm: float, length: float | None
) -> None:
    model = tiny(0)
    one, batch = trainer(model, 0.0, runtime, tiny(1), clip_norm=clip_norm, momentum=0.0, weight_decay=0.0)
    before = [weight.detach().clone() for weight in model.parameters()]
    one.step(batch, rate=1.0)
    moved = (
        torch.cat([(new - old).flatten() for old, new in zip(before, model.parameters(), strict=True)]).norm().item()
    )
    assert moved == pytest.approx(length, rel=1e-3) if length else moved > 0.2


def test_a_step_is_taken_in_train_mode_and_validation_returns_to_it(tiny: Tiny, runtime: Runtime) -> None:
    model = tiny(0, dropout=0.5)
    modes: list[bool] = []
    model.register_forward_pre_hook(lambda module, args: modes.append(module.training))
    one, batch = trainer(model, 0.5, runtime, tiny(1))
    modes.clear()
    for _ in range(2):
        one.step(batch, rate=0.1)
        one.validate([batch])
        assert all(module.training for module in model.modules())
    assert modes == [True, False, True, False]


class Noisy(Distiller):
    """Has dropout and normalisation of its own."""

    def prepare(self, batch: DistillationBatch) -> None:
        self.noise = nn.Sequential(nn.BatchNorm1d(4), nn.Dropout(0.5))

    def forward(self, batch: DistillationBatch) -> Tensor:
        return functional.mse_loss(self.noise(batch.student["logits"]), batch.teacher["logits"])


def test_validation_draws_nothing_for_a_distiller_and_teaches_it_nothing(tiny: Tiny, runtime: Runtime) -> None:
    one = Member("noisy", tiny(0), 0.5, Noisy())
    batch = SharedTeacher(Frozen(tiny(1)), teacher_taps([one]), runtime).teach(IMAGES, LABELS, INDEX)
    trainer = MemberTrainer(one, RECIPE, runtime, batch)
    noise = torch.get_rng_state()
    before = [value.clone() for value in weights(one.distiller)]
    assert trainer.validate([batch]) == trainer.validate([batch])
    assert equal(before, weights(one.distiller))
    assert torch.equal(noise, torch.get_rng_state())
    assert all(module.training for module in one.distiller.modules())


def test_validation_weighs_a_smaller_last_batch_by_its_size_and_changes_no_weight(tiny: Tiny, runtime: Runtime) -> None:
    model, teacher = tiny(0), tiny(1)
    one, whole = trainer(model, 0.5, runtime, teacher)
    parts = [
        CohortBatch(IMAGES[part], LABELS[part], INDEX[part], {"logits": whole.teacher["logits"][part]})
        for part in (slice(0, 9), slice(9, 12))
    ]
    before = [value.clone() for value in weights(model)]
    assert one.validate(parts) == pytest.approx(one.validate([whole]), rel=1e-5)
    assert equal(before, weights(model))


def test_validation_reports_loss_accuracy_and_closeness_by_hand(tiny: Tiny, runtime: Runtime) -> None:
    one, batch = trainer(tiny(0), 0.25, runtime, tiny(1))
    logits, taught = tiny(0).eval()(IMAGES), tiny(1).eval()(IMAGES)
    label, distill = functional.cross_entropy(logits, LABELS), soft_target_loss(logits, taught, 4.0)
    answers, theirs = logits.argmax(1), taught.argmax(1)
    assert not torch.equal(theirs, LABELS)
    assert one.validate([batch]) == pytest.approx(
        {
            "val/loss": (0.25 * label + 0.75 * distill).item(),
            "val/label_loss": label.item(),
            "val/accuracy": (answers == LABELS).float().mean().item(),
            "val/teacher_kl": (taught.softmax(1) * (taught.log_softmax(1) - logits.log_softmax(1)))
            .sum(1)
            .mean()
            .item(),
            "val/teacher_agreement": (answers == theirs).float().mean().item(),
        }
    )


def test_alpha_below_one_asks_for_a_distiller_and_a_teacher(tiny: Tiny, runtime: Runtime) -> None:
    with pytest.raises(ValueError, match=r"^half: alpha = 0.5 needs a distiller$"):
        Member("half", tiny(0), 0.5)
    with pytest.raises(ValueError, match="needs a teacher"):
        SharedTeacher(None, teacher_taps([member(tiny(0), 0.5)]), runtime)
    assert member(tiny(0), 1.0).distiller is None


def test_a_cohort_that_learns_from_labels_alone_never_runs_a_teacher(tiny: Tiny, runtime: Runtime) -> None:
    teacher = Frozen(tiny(1))
    teacher.model.register_forward_pre_hook(lambda *_: pytest.fail("the teacher was run"))
    assert (
        SharedTeacher(teacher, teacher_taps([member(tiny(0), 1.0)]), runtime).teach(IMAGES, LABELS, INDEX).teacher == {}
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_student_trained_alone_equals_the_same_student_in_a_cohort(
    tiny: Tiny, runtime: Runtime, data: Dataset, dropout: float, dtype: torch.dtype
) -> None:
    runtime = replace(runtime, dtype=dtype)

    def train(*members: Member) -> list[dict[str, float]]:
        return list(fit(members, data, RECIPE, runtime=runtime, teacher=Frozen(tiny(9, dropout=0.5))))[-1].metrics

    def company() -> list[Member]:
        kinds = [(1.0, "soft-targets"), (0.0, "soft-targets"), (0.5, "soft-targets"), (0.5, "rkd")]
        return [member(tiny(0, dropout=dropout), alpha, kind) for alpha, kind in kinds]

    together, alone = company(), company()
    in_cohort = train(*together)
    for mine, metrics, theirs in zip(alone, in_cohort, together, strict=True):
        (own,) = train(mine)
        assert equal(weights(mine.model), weights(theirs.model))
        assert own["train/loss"] == metrics["train/loss"]
    assert not equal(weights(together[0].model), weights(together[1].model))


def test_without_a_teacher_a_student_of_labels_equals_itself_in_a_cohort_with_one(
    tiny: Tiny, runtime: Runtime, data: Dataset, teacher: Frozen
) -> None:
    alone, other, company = tiny(0, dropout=0.5), tiny(0, dropout=0.5), tiny(0, dropout=0.5)
    list(fit([member(alone, 1.0)], data, RECIPE, runtime=runtime))
    list(fit([member(company, 0.0), member(other, 1.0)], data, RECIPE, runtime=runtime, teacher=teacher))
    assert equal(weights(alone), weights(other))


class ByLabels(Distiller):
    """Looks at the images that the labels say are of the first class."""

    reads_labels = True

    def forward(self, batch: DistillationBatch) -> Tensor:
        chosen = (batch.labels == 0).float()[:, None]
        return ((batch.student["logits"] - batch.teacher["logits"]) * chosen).square().mean()


def test_a_method_that_reads_labels_gets_them_at_alpha_zero_too(tiny: Tiny, runtime: Runtime) -> None:
    model = tiny(0)
    one = Member("labels", model, 0.0, ByLabels())
    batch = SharedTeacher(Frozen(tiny(1)), teacher_taps([one]), runtime).teach(IMAGES, LABELS, INDEX)
    trainer = MemberTrainer(one, RECIPE, runtime, batch)

    def gradient(labels: Tensor) -> list[Tensor]:
        return gradients(model, trainer.losses({"logits": model(IMAGES)}, replace(batch, labels=labels))["loss"])

    assert not equal(gradient(LABELS), gradient(LABELS.roll(1)))


class Noting(Distiller):
    """Notes what it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[DistillationBatch] = []

    def forward(self, batch: DistillationBatch) -> dict[str, Tensor]:
        self.seen.append(batch)
        value = functional.mse_loss(batch.student["logits"], batch.teacher["logits"])
        return {"half": value / 2, "rest": value / 2}


def test_a_method_is_shown_each_image_by_its_place_how_far_training_is_and_no_labels(
    tiny: Tiny, runtime: Runtime, data: Dataset, teacher: Frozen
) -> None:
    noting = Noting()
    (first, _) = fit([Member("noting", tiny(0), 0.5, noting)], data, RECIPE, runtime=runtime, teacher=teacher)
    training, validation = noting.seen[:4], noting.seen[4]
    assert sorted(torch.cat([batch.index for batch in training]).tolist()) == list(range(64))
    assert validation.index.tolist() == list(range(16))
    assert [batch.progress for batch in training] == [0, 1 / 8, 2 / 8, 3 / 8]
    assert {batch.labels for batch in noting.seen} == {None}
    shown = training[2].index
    images = torch.cat([batch.student["logits"] for batch in training])
    assert images.shape == (64, 4)
    assert len(shown) == 16
    metrics = first.metrics[0]
    terms = metrics["train/distill_loss/half"], metrics["train/distill_loss/rest"]
    assert terms[0] == terms[1] == pytest.approx(metrics["train/distill_loss"] / 2)


class Reversed:
    """A teacher that is no network: it knows the labels and says the opposite, by the index of the image."""

    def __init__(self, labels: Tensor) -> None:
        self._labels = labels

    @contextmanager
    def teaching(self, taps: object, runtime: Runtime) -> Iterator[Callable[..., dict[str, Tensor]]]:
        def teach(images: Tensor, labels: Tensor, index: Tensor) -> dict[str, Tensor]:
            if len(images) == len(index) == 16 and torch.equal(self._labels[index], labels):
                self.known = True
            return {"logits": -10.0 * functional.one_hot(labels, 4).float()}

        yield teach

    def fingerprint(self) -> str:
        return ""


def test_whatever_teaches_by_images_labels_and_index_can_be_the_teacher(
    tiny: Tiny, runtime: Runtime, data: Dataset
) -> None:
    teacher, student = Reversed(data.train.labels), tiny(0)
    recipe = replace(RECIPE, epochs=10)
    *_, last = fit([member(student, 0.0)], data, recipe, runtime=runtime, teacher=teacher)
    assert teacher.known, "each index is that of its label's image"
    assert last.metrics[0]["val/accuracy"] < 0.1
    assert last.metrics[0]["val/teacher_agreement"] < 0.5
