"""What a distiller is: the part of the loss that a teacher gives."""

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from kdflow.common.registry import Registry
from kdflow.config.option import Option
from kdflow.models.features import LOGITS

Activations = Mapping[str, Tensor]


class Distiller(nn.Module):
    """A distance between what student and teacher make of the same batch.

    A method is one file: a subclass that names the activations it looks at and its knobs. Parameters that it creates
    in `prepare`, such as a projection between widths, are trained together with the student.

    Attributes:
        student_taps: Activations needed of the student (see `kdflow.models.features.Tapped`).
        teacher_taps: Activations needed of the teacher.
        knobs: Settings by name; each is passed to the constructor.
    """

    student_taps: ClassVar[tuple[str, ...]] = (LOGITS,)
    teacher_taps: ClassVar[tuple[str, ...]] = (LOGITS,)
    knobs: ClassVar[dict[str, Option]] = {}

    def prepare(self, student: Activations, teacher: Activations) -> None:
        """Creates parameters that depend on the activations' shapes; called once, before training, on a small batch."""

    def forward(self, student: Activations, teacher: Activations) -> Tensor:
        """The loss, a scalar: the mean over the batch. Activations come in float32."""
        raise NotImplementedError


distillers: Registry[type[Distiller]] = Registry("distiller")
