"""The step that the members of a cohort make together."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.device.runtime import Runtime
from kdflow.teachers.shared import CohortBatch
from kdflow.training.member import Member, MemberTrainer


@dataclass(frozen=True)
class Sums:
    """Sums over images of each member's training metrics.

    Attributes:
        names: For each member, the names of its metrics.
        values: All of them, one after the other, on the device.
    """

    names: tuple[tuple[str, ...], ...]
    values: Tensor

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(self.names, self.values + other.values)

    def by_member(self, *, divisor: float = 1.0) -> list[dict[str, float]]:
        """For each member its metrics by name, divided; it waits for the device."""
        values = iter((self.values / divisor).tolist())
        return [{name: next(values) for name in names} for names in self.names]


@dataclass(frozen=True)
class Step:
    """Where an epoch stands, for a progress display.

    Attributes:
        number: Steps done in this epoch.
        of: Steps an epoch has.
        seen: Images shown so far in this epoch.
        sums: Of the members' training metrics over those images. Reading it waits for the device.
    """

    number: int
    of: int
    seen: int
    sums: Sums

    def means(self) -> list[dict[str, float]]:
        """For each member its training metrics so far, by name."""
        return self.sums.by_member(divisor=self.seen)


class CohortStep:
    """One step of all members on the same batch; recorded as one CUDA graph where that is asked for.

    Args:
        trainers: Of the members.
        runtime: Device.
    """

    def __init__(self, trainers: Sequence[MemberTrainer], runtime: Runtime) -> None:
        self._trainers = trainers
        self._taps: tuple[str, ...] = ()
        self._names: tuple[tuple[str, ...], ...] = ()
        self._dropout_seed = 0
        self._is_recorded = runtime.cuda_graphs
        self._call = runtime.recorded(self._step)

    def __call__(
        self, batch: CohortBatch, *, rate: float | Tensor, dropout_seed: int, progress: float | Tensor = 0.0
    ) -> Sums:
        """The members' training metrics, summed over the batch."""
        self._taps, self._dropout_seed = tuple(batch.teacher), dropout_seed
        if self._is_recorded:
            torch.manual_seed(dropout_seed)
        values = self._call(batch.images, batch.labels, batch.index, rate, progress, *batch.teacher.values())
        return Sums(self._names, values)

    def _step(
        self,
        images: Tensor,
        labels: Tensor,
        index: Tensor,
        rate: float | Tensor,
        progress: float | Tensor,
        *taught: Tensor,
    ) -> Tensor:
        batch = CohortBatch(images, labels, index, dict(zip(self._taps, taught, strict=True)))
        sums = []
        for trainer in self._trainers:
            if not self._is_recorded:  # which recording does not allow
                torch.manual_seed(self._dropout_seed)  # the same dropout as if it were alone
            sums.append(trainer.step(batch, rate=rate, progress=progress))
        self._names = tuple(tuple(one) for one in sums)
        return torch.stack([value.float() for one in sums for value in one.values()])


def teacher_taps(cohort: Collection[Member]) -> set[str]:
    """All that the members' distillers look at in the teacher."""
    return {tap for member in cohort if member.distiller for tap in member.distiller.teacher_taps}
