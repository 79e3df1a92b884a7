"""What the teacher shows a cohort: its activations on each batch, and its logits kept for later students."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kdflow.common import cache
from kdflow.device.cuda_graphs import Graphed
from kdflow.device.runtime import Runtime
from kdflow.distillers.base import Activations
from kdflow.models.features import LOGITS, Tapped
from kdflow.teachers.frozen import Frozen


@dataclass(frozen=True)
class TaughtBatch:
    """What a whole cohort is shown in one step.

    Attributes:
        images: Normalised, `[batch, 3, 32, 32]`.
        labels: int64 `[batch]`.
        taught: What the teacher makes of the images; empty without a teacher.
    """

    images: Tensor
    labels: Tensor
    taught: Activations


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
        self, teacher: Frozen | None, taps: Iterable[str], runtime: Runtime, *, stream: tuple[object, ...] = ()
    ) -> None:
        taps = set(taps)
        if taps and teacher is None:
            raise ValueError("a member with alpha < 1 needs a teacher")
        self._teacher = Tapped(runtime.place(teacher).model, taps) if teacher and taps else None
        self._graphed = Graphed(self._forward, runtime.device)
        self._runtime = runtime
        self._kept_as = ""
        if teacher and stream and taps == {LOGITS}:
            self._kept_as = cache.key(str(teacher), cache.fingerprint(teacher.state_dict()), runtime.arithmetic, stream)

    def teach(self, images: Tensor, labels: Tensor) -> TaughtBatch:
        """Adds to normalised images what the teacher makes of them."""
        return TaughtBatch(images, labels, self._forward(images))

    def teach_all(self, batches: Iterable[tuple[Tensor, Tensor]], part: str) -> Iterator[TaughtBatch]:
        """Teaches all batches; the logits of a part that has been taught before are read, not computed.

        Args:
            batches: Normalised images and labels, the same each time for the same stream and part.
            part: Names them within the stream.
        """
        name = f"{self._kept_as}-{part}"
        kept = cache.load(name) if self._kept_as else None
        ready = kept[LOGITS].to(self._runtime.device) if kept else None
        seen, made = 0, []
        for images, labels in batches:
            if ready is not None:
                yield TaughtBatch(images, labels, {LOGITS: ready[seen : seen + len(labels)]})
                seen += len(labels)
            elif self._teacher is None:
                yield TaughtBatch(images, labels, {})
            else:
                taught = self._graphed(images)
                if self._kept_as:
                    made.append(taught[LOGITS].clone())
                yield TaughtBatch(images, labels, taught)
        if made:
            cache.save(name, {LOGITS: torch.cat(made).cpu()})

    def close(self) -> None:
        """Leaves the teacher without hooks."""
        if self._teacher:
            self._teacher.close()

    @torch.no_grad()
    def _forward(self, images: Tensor) -> Activations:
        if self._teacher is None:
            return {}
        with self._runtime.autocast():
            return self._teacher(images)
