"""Finding the step, or the epoch, at which a training is no longer finite."""

import math
from collections.abc import Callable, Sequence

from kdflow.common.errors import DivergedError
from kdflow.training.cohort import Step
from kdflow.training.member import MemberTrainer
from kdflow.training.schedules import EpochSchedule

LOOK_EVERY = {"cuda": 64}
"""Steps between two looks at the losses where looking makes the device wait; elsewhere each step is looked at."""


class Watch:
    """Finds the first step at which a loss is no longer finite, without making a device wait at each.

    Args:
        trainers: Of the members.
        schedule: Of the epoch.
        on_step: Called after each step that was not found to be bad.
    """

    def __init__(
        self, trainers: Sequence[MemberTrainer], schedule: EpochSchedule, on_step: Callable[[Step], None]
    ) -> None:
        self._trainers, self._schedule, self._on_step = trainers, schedule, on_step
        self._unseen: list[Step] = []

    def __call__(self, step: Step) -> None:
        """Takes note of a step, and looks at it at once or later."""
        self._unseen.append(step)
        if len(self._unseen) >= LOOK_EVERY.get(step.sums.values.device.type, 1):
            self.look()
        self._on_step(step)

    def look(self) -> None:
        """Looks at all steps since the last time.

        Raises:
            DivergedError: a loss is not finite.
        """
        # What was once added to the sums stays: the last ones tell whether it is worth looking for the first.
        if self._unseen and not self._unseen[-1].sums.values.isfinite().all():
            for step in self._unseen:
                for trainer, sums in zip(self._trainers, step.sums.by_member(), strict=True):
                    if worst := trainer.worst(sums):
                        when = f"at step {step.number} of epoch {self._schedule.epoch}"
                        raise _diverged(trainer.member.name, worst, when, self._schedule.rates[step.number - 1])
        self._unseen.clear()


def check_finite(member: str, epoch: int, metrics: dict[str, float]) -> None:
    """The last step of an epoch can ruin a model whose own loss was still finite.

    Raises:
        DivergedError: a metric is not finite.
    """
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise _diverged(member, f"{name} is {value}", f"after epoch {epoch}", metrics["learning_rate"])


def _diverged(member: str, what: str, when: str, rate: float) -> DivergedError:
    return DivergedError(f"{member}: {what} {when}, at learning rate {rate:.3g}; try a lower learning rate")
