"""The training loop: a cohort of models that share batches, augmentation and one teacher forward."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.cohort import Learner, Member, School
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.data.batches import derive_seed, in_order, steps_per_epoch, training_batches
from kdflow.errors import KdflowError
from kdflow.models.frozen import Frozen
from kdflow.models.servable import Normalised
from kdflow.runtime import Runtime
from kdflow.schedules import learning_rate


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
        KdflowError: the loss of a member is no longer finite.
    """
    train, val = data.train.to(runtime.device), data.val.to(runtime.device)
    normalise = Normalised(data.mean, data.std).to(runtime.device)
    school = School(teacher, cohort, runtime)
    sample = school.lesson(normalise(train.images[:2]), train.labels[:2])
    learners = [Learner(member, recipe, runtime, sample) for member in cohort]
    exam = [school.lesson(normalise(batch.images), batch.labels) for batch in in_order(val, recipe.batch_size)]
    steps = steps_per_epoch(len(train), recipe.batch_size)
    for epoch in range(1, recipe.epochs + 1):
        began, seen = time.perf_counter(), 0
        sums = torch.zeros(len(cohort), 4, device=runtime.device)
        batches = training_batches(
            train, seed=runtime.seed, epoch=epoch, batch_size=recipe.batch_size, mirrored=data.mirrored
        )
        with torch.random.fork_rng():
            for number, batch in enumerate(batches, start=1):
                lesson = school.lesson(normalise(batch.images), batch.labels)
                rate = learning_rate(recipe, ((epoch - 1) * steps + number - 1) / (recipe.epochs * steps))
                dropout_seed = derive_seed(runtime.seed, epoch, number, "dropout")
                for learner, row in zip(learners, sums, strict=True):
                    torch.manual_seed(dropout_seed)
                    row += learner.step(lesson, rate=rate)
                seen += len(batch)
                on_step(Step(number, steps, seen, sums))
        means = (sums / seen).tolist()
        seconds = time.perf_counter() - began
        common = {
            "learning_rate": rate,
            "speed/epoch_seconds": seconds,
            "speed/images_per_second": seen / seconds,
        }
        metrics = [
            _training_metrics(learner.member, mean, epoch, rate) | learner.validate(exam) | common
            for learner, mean in zip(learners, means, strict=True)
        ]
        yield Epoch(epoch, metrics)
    for learner in learners:
        learner.close()


def _training_metrics(member: Member, means: list[float], epoch: int, rate: float) -> dict[str, float]:
    metrics = dict(zip(("train/loss", "train/label_loss", "train/distill_loss", "train/accuracy"), means, strict=True))
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise KdflowError(
                f"{member.name}: {name} is {value} in epoch {epoch} at learning rate {rate:.3g}; try a lower --lr"
            )
    if member.distiller is None:
        del metrics["train/distill_loss"]
    return metrics
