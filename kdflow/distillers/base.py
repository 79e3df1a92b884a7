"""What a distiller is: the part of the loss that a teacher gives."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import ClassVar

from torch import Tensor, nn

from kdflow.common.registry import Registry
from kdflow.config.option import Option
from kdflow.models.features import LOGITS, Activations

Terms = Mapping[str, Tensor]
"""Parts of a loss by name, scalars; their sum is the loss."""


@dataclass(frozen=True)
class DistillationBatch:
    """What a method looks at in one step.

    Attributes:
        student: What the student makes of the images, in float32.
        teacher: What the teacher makes of them, in float32.
        index: int64 `[batch]`, the place of each image in its split.
        progress: Share of the training that was done before this step, 0 to 1; on CUDA a scalar there.
        labels: int64 `[batch]`; None unless the method declares `reads_labels`.
    """

    student: Activations
    teacher: Activations
    index: Tensor
    progress: float | Tensor = 0.0
    labels: Tensor | None = None


class Distiller(nn.Module):
    """A distance between what student and teacher make of the same batch.

    A method is one file: a subclass that names the activations it looks at. Its settings are the fields of a dataclass
    (`@dataclass(eq=False)`), each an `option(default, help, ...)`. Parameters that it creates in `prepare`, such as a
    projection between widths, are trained together with the student, and are no part of the student that is kept.

    Attributes:
        formula: The loss in text, for the documentation.
        student_taps: Activations needed of the student (see `kdflow.models.features.Tapped`).
        teacher_taps: Activations needed of the teacher.
        reads_labels: Whether the method is defined with labels, so that alpha = 0 is not free of them.
    """

    formula: ClassVar[str] = ""
    student_taps: ClassVar[tuple[str, ...]] = (LOGITS,)
    teacher_taps: ClassVar[tuple[str, ...]] = (LOGITS,)
    reads_labels: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__init__()

    @classmethod
    def settings(cls) -> dict[str, Option]:
        """The method's settings by name."""
        return {spec.name: spec.metadata["option"] for spec in fields(cls)} if is_dataclass(cls) else {}

    def prepare(self, batch: DistillationBatch) -> None:
        """Creates parameters that depend on the activations' shapes; called once, before training, on a small batch."""

    def forward(self, batch: DistillationBatch) -> Tensor | Terms:
        """The loss, a scalar or its named terms: means over the batch."""
        raise NotImplementedError


distillers: Registry[type[Distiller]] = Registry("distiller")
