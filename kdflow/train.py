"""The training loop: a cohort of models that share batches, augmentation and one teacher forward."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.cohort import CohortStep, Member, MemberTrainer, teacher_taps
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.batches import derive_seed, in_order, steps_per_epoch, training_batches
from kdflow.errors import KdflowError
from kdflow.models.frozen import Frozen
from kdflow.models.servable import Normalised
from kdflow.runtime import Runtime
from kdflow.schedules import learning_rates
from kdflow.taught import SharedTeacher, TaughtBatch


@dataclass(frozen=True)
class Step:
    """Where an epoch stands, for a progress display.

    Attributes:
        number: Steps done in this epoch.
        of: Steps an epoch has.
        seen: Images shown so far in this epoch.
        sums: `[members, 4]` over those images: loss, label loss, distillation loss, correct answers. Reading it waits
            for the device.
    """

    number: int
    of: int
    seen: int
    sums: Tensor


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        number: From 1.
        metrics: For each member of the cohort, in its order, by the names of the design.
    """

    number: int
    metrics: list[dict[str, float]]


def fit(
    cohort: Sequence[Member],
    data: Dataset,
    recipe: Recipe,
    *,
    runtime: Runtime,
    teacher: Frozen | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
) -> Iterator[Epoch]:
    """Trains the members of a cohort side by side; each ends exactly as if it had been trained alone.

    Order and augmentation of an epoch follow from (seed, epoch), dropout from (seed, epoch, step), for all members
    alike.

    Args:
        cohort: Its models are trained in place.
        data: Its test split is not touched.
        recipe: Of all members.
        runtime: Seed, device, arithmetic.
        teacher: Needed if any alpha is below 1.
        on_step: Called after each step.

    Yields:
        What each epoch gave, while the models stand as that epoch left them.

    Raises:
        KdflowError: the loss of a member is no longer finite; that ends the training of all members.
    """
    train, val = data.train.to(runtime.device), data.val.to(runtime.device)
    normalise = Normalised(data.mean, data.std).to(runtime.device)
    # Images of unknown origin cannot be recognised again.
    stream = (data.digest, data.split_digest, data.mirrored, runtime.seed, recipe.batch_size) if data.digest else ()

    def shown(batches: Iterable[Split]) -> Iterator[tuple[Tensor, Tensor]]:
        return ((normalise(batch.images), batch.labels) for batch in batches)

    with ExitStack() as hooked:
        shared_teacher = SharedTeacher(teacher, teacher_taps(cohort), runtime, stream=stream)
        hooked.enter_context(closing(shared_teacher))
        sample = shared_teacher.teach(normalise(train.images[:2]), train.labels[:2])
        trainers = [hooked.enter_context(closing(MemberTrainer(one, recipe, runtime, sample))) for one in cohort]
        step = CohortStep(trainers, runtime)
        validation = list(shared_teacher.teach_all(shown(in_order(val, recipe.batch_size)), "validation"))
        for epoch in range(1, recipe.epochs + 1):
            began = time.perf_counter()
            rates = learning_rates(recipe, epoch, steps_per_epoch(len(train), recipe.batch_size))
            augmented = training_batches(
                train,
                seed=runtime.seed,
                epoch=epoch,
                batch_size=recipe.batch_size,
                mirrored=data.mirrored,
                at_once=runtime.device.type == "cuda",
            )
            batches = shared_teacher.teach_all(shown(augmented), f"epoch-{epoch}")
            with runtime.own_randomness():
                last = _train_epoch(step, batches, runtime.scalars(rates), (runtime.seed, epoch), on_step)
            metrics = _sum_up(trainers, last, validation, rate=rates[-1], began=began)
            for member, values in zip(cohort, metrics, strict=True):
                _check_finite(member.name, epoch, values)
            yield Epoch(epoch, metrics)


def _train_epoch(
    step: CohortStep,
    batches: Iterable[TaughtBatch],
    rates: Sequence[float | Tensor],
    stream: tuple[int, int],
    on_step: Callable[[Step], None],
) -> Step:
    """One pass over the training images; gives the last step, which sums up the epoch."""
    sums, seen = torch.zeros(()), 0
    for number, (batch, rate) in enumerate(zip(batches, rates, strict=True), start=1):
        sums = sums + step(batch, rate=rate, dropout_seed=derive_seed(*stream, number, "dropout"))
        seen += len(batch.labels)
        done = Step(number, len(rates), seen, sums)
        on_step(done)
    return done


def _sum_up(
    trainers: Sequence[MemberTrainer], last: Step, validation: Sequence[TaughtBatch], *, rate: float, began: float
) -> list[dict[str, float]]:
    """An epoch's metrics, for each member; its seconds are those of training, up to the moment the device is done."""
    means = (last.sums / last.seen).tolist()
    seconds = time.perf_counter() - began
    pace = {"speed/epoch_seconds": seconds, "speed/images_per_second": last.seen / seconds}
    return [
        trainer.training_metrics(mean) | trainer.validate(validation) | {"learning_rate": rate, **pace}
        for trainer, mean in zip(trainers, means, strict=True)
    ]


def _check_finite(member: str, epoch: int, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        if not math.isfinite(value):
            rate = metrics["learning_rate"]
            raise KdflowError(
                f"{member}: {name} is {value} in epoch {epoch}, at learning rate {rate:.3g}; try a lower --lr"
            )
