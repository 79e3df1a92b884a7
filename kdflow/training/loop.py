"""The training loop: a cohort of models that share batches, augmentation and one teacher forward."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from kdflow.common.errors import KdflowError
from kdflow.common.seeding import derive_seed
from kdflow.config import Recipe
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.teachers.base import Teacher
from kdflow.teachers.shared import CohortBatch, SharedTeacher
from kdflow.training.cohort import CohortStep, Step, teacher_taps
from kdflow.training.images import ShownImages
from kdflow.training.member import Member, MemberTrainer
from kdflow.training.schedules import EpochSchedule
from kdflow.training.watch import Watch, check_finite


@dataclass(frozen=True)
class Epoch:
    """What one epoch gave.

    Attributes:
        number: From 1.
        metrics: For each member of the cohort, in its order, by the names of the design.
        state: All that `fit(resume=...)` needs to go on after this epoch: its number and, for each member, live
            tensors, not copies, which are of this epoch only until the next one is asked for. Plain containers and
            tensors: `torch.load` reads them back with `weights_only=True`.
    """

    number: int
    metrics: list[dict[str, float]]
    state: dict[str, Any] = field(repr=False, compare=False)


def fit(
    cohort: Sequence[Member],
    data: Dataset,
    recipe: Recipe,
    *,
    runtime: Runtime,
    teacher: Teacher | None = None,
    on_step: Callable[[Step], None] = lambda step: None,
    resume: dict[str, Any] | None = None,
) -> Iterator[Epoch]:
    """Trains the members of a cohort side by side; each ends exactly as if it had been trained alone.

    Order and augmentation of an epoch follow from (seed, epoch), dropout from (seed, epoch, step), for all members
    alike. So a training that goes on from a saved state ends exactly as one that was never interrupted.

    Args:
        cohort: Its models are trained in place.
        data: Its test split is not touched.
        recipe: Of all members.
        runtime: Seed, device, arithmetic.
        teacher: Needed if any alpha is below 1.
        on_step: Called after each step.
        resume: The `Epoch.state` after which to go on, of a cohort, data, recipe and runtime like these, which it does
            not contain. After the last epoch nothing is left to do: the models get the weights that they had then.

    Yields:
        What each epoch gave, while the models stand as that epoch left them.

    Raises:
        DivergedError: the loss of a member is no longer finite, which ends the training of all members.
        KdflowError: the state to go on from is not that of such a cohort.
    """
    with ExitStack() as hooked:
        with runtime.applied():
            training = _Training(cohort, data, recipe, runtime, teacher, hooked)
            done = _restore(training.trainers, resume, recipe) if resume is not None else 0
        for number in range(done + 1, recipe.epochs + 1):
            with runtime.applied():
                metrics = training.epoch(number, on_step)
            yield Epoch(number, metrics, {"epoch": number, "members": [one.state() for one in training.trainers]})


class _Training:
    """A cohort with all that its epochs need.

    Args:
        cohort: See `fit`, as for the others.
        data: Training and validation images.
        recipe: Of all members.
        runtime: Seed, device, arithmetic.
        teacher: Of all members.
        hooked: Takes the hooks off the networks at its end.
    """

    def __init__(
        self,
        cohort: Sequence[Member],
        data: Dataset,
        recipe: Recipe,
        runtime: Runtime,
        teacher: Teacher | None,
        hooked: ExitStack,
    ) -> None:
        self._recipe, self._runtime = recipe, runtime
        self._images = ShownImages(data, recipe, runtime)
        shared = SharedTeacher(teacher, teacher_taps(cohort), runtime, stream=self._images.stream)
        self._teacher = hooked.enter_context(closing(shared))
        sample = shared.teach(*self._images.sample)
        self.trainers = [hooked.enter_context(closing(MemberTrainer(one, recipe, runtime, sample))) for one in cohort]
        self._step = CohortStep(self.trainers, runtime)

    @cached_property
    def _validation(self) -> list[CohortBatch]:
        return list(self._teacher.teach_all(self._images.validation(), "validation"))

    def epoch(self, number: int, on_step: Callable[[Step], None]) -> list[dict[str, float]]:
        """Trains an epoch, counted from 1, and gives the metrics of each member.

        Raises:
            DivergedError: a loss is no longer finite.
        """
        validation, began = self._validation, time.perf_counter()
        schedule = EpochSchedule.of(self._recipe, number, self._images.steps)
        batches = self._teacher.teach_all(self._images.training(number), f"epoch-{number}")
        watch = Watch(self.trainers, schedule, on_step)
        last = _train_epoch(self._step, batches, schedule, self._runtime, watch)
        watch.look()
        metrics = _sum_up(self.trainers, last, validation, schedule, began=began)
        for trainer, values in zip(self.trainers, metrics, strict=True):
            check_finite(trainer.member.name, number, values)
        return metrics


def _train_epoch(
    step: CohortStep,
    batches: Iterable[CohortBatch],
    schedule: EpochSchedule,
    runtime: Runtime,
    on_step: Callable[[Step], None],
) -> Step:
    """One pass over the training images; gives the last step, which sums up the epoch."""
    rates, progress = runtime.scalars(schedule.rates), runtime.scalars(schedule.progress)
    sums, seen = None, 0
    with runtime.own_randomness():
        for number, (batch, rate, done) in enumerate(zip(batches, rates, progress, strict=True), start=1):
            dropout_seed = derive_seed(runtime.seed, schedule.epoch, number, "dropout")
            own = step(batch, rate=rate, progress=done, dropout_seed=dropout_seed)
            sums = own if sums is None else sums + own
            seen += len(batch.labels)
            last = Step(number, len(rates), seen, sums)
            on_step(last)
    return last


def _sum_up(
    trainers: Sequence[MemberTrainer],
    last: Step,
    validation: Sequence[CohortBatch],
    schedule: EpochSchedule,
    *,
    began: float,
) -> list[dict[str, float]]:
    """An epoch's metrics, for each member; its seconds are those of training, up to the moment the device is done."""
    means = last.means()
    seconds = time.perf_counter() - began
    pace = {"speed/epoch_seconds": seconds, "speed/images_per_second": last.seen / seconds}
    return [
        mean | trainer.validate(validation) | {"learning_rate": schedule.rates[-1], **pace}
        for trainer, mean in zip(trainers, means, strict=True)
    ]


def _restore(trainers: Sequence[MemberTrainer], state: dict[str, Any], recipe: Recipe) -> int:
    """Puts the members where a saved state says they were; gives the number of epochs done."""
    epoch, members = state.get("epoch"), state.get("members")
    if type(epoch) is not int or not 1 <= epoch <= recipe.epochs:
        raise KdflowError(
            f"the saved state is of epoch {epoch!r}, not of one from 1 to {recipe.epochs}; start a new run"
        )
    if not isinstance(members, list) or len(members) != len(trainers):
        found = len(members) if isinstance(members, list) else "no"
        raise KdflowError(f"the saved state is of {found} models, not of {len(trainers)}; start a new run")
    for trainer, saved in zip(trainers, members, strict=True):
        trainer.restore(saved)
    return epoch
