"""What a teacher shows a cohort: its activations on each batch, and its logits, kept for later students."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.common import cache
from kdflow.device.runtime import Runtime
from kdflow.models.features import LOGITS, Activations
from kdflow.teachers.base import Teacher


@dataclass(frozen=True)
class CohortBatch:
    """What a whole cohort is shown in one step.

    Attributes:
        images: Normalised, `[batch, 3, 32, 32]`.
        labels: int64 `[batch]`.
        index: int64 `[batch]`, the place of each image in its split.
        teacher: What the teacher makes of the images; empty without a teacher.
    """

    images: Tensor
    labels: Tensor
    index: Tensor
    teacher: Activations


Shown = tuple[Tensor, Tensor, Tensor]
"""Normalised images, labels and index."""


class SharedTeacher:
    """The teacher of a cohort: one forward gives all that any member's distiller looks at.

    Args:
        teacher: Needed if anything is looked at.
        taps: What the distillers look at (see `kdflow.models.features.Tapped`).
        runtime: Device and arithmetic.
        stream: Whatever decides which batches `teach_all` will be given, besides its part: data, seed, batch size.
            Empty: nothing is kept.
    """

    def __init__(
        self, teacher: Teacher | None, taps: Collection[str], runtime: Runtime, *, stream: tuple[object, ...] = ()
    ) -> None:
        if taps and teacher is None:
            raise ValueError("a member with alpha < 1 needs a teacher")
        self._runtime = runtime
        self._open = ExitStack()
        self._teach = self._open.enter_context(teacher.teaching(taps, runtime)) if teacher and taps else None
        self._shared = runtime.recorded(self._teach) if self._teach else None
        keeps = teacher is not None and stream and set(taps) == {LOGITS}
        known = teacher.fingerprint() if teacher is not None and keeps else ""
        self._kept_as = cache.key(known, runtime.arithmetic, stream) if known else ""

    def teach(self, images: Tensor, labels: Tensor, index: Tensor) -> CohortBatch:
        """Adds to normalised images what the teacher makes of them."""
        return CohortBatch(images, labels, index, self._teach(images, labels, index) if self._teach else {})

    def teach_all(self, batches: Iterable[Shown], part: str) -> Iterator[CohortBatch]:
        """Teaches all batches; the logits of a part that has been taught before are read, not computed.

        Args:
            batches: The same each time for the same stream and part.
            part: Names them within the stream.
        """
        name = f"{self._kept_as}-{part}"
        kept = cache.load(name) if self._kept_as else None
        ready = kept[LOGITS].to(self._runtime.device) if kept else None
        seen, made = 0, []
        for images, labels, index in batches:
            if ready is not None:
                taught: Activations = {LOGITS: ready[seen : seen + len(labels)]}
                seen += len(labels)
            else:
                taught = self._shared(images, labels, index) if self._shared else {}
                if self._kept_as:
                    made.append(taught[LOGITS].clone())
            yield CohortBatch(images, labels, index, taught)
        if made:
            cache.save(name, {LOGITS: torch.cat(made).cpu()})

    def close(self) -> None:
        """Leaves the teacher without hooks."""
        self._open.close()
