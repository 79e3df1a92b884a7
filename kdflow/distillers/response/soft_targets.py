"""Soft targets: the teacher's softened probabilities as labels.

Source: G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531, section 2.
"""

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from kdflow.config.option import option
from kdflow.distillers.base import DistillationBatch, Distiller, distillers
from kdflow.models.features import LOGITS


def soft_target_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the student with the teacher's predictions, both at temperature T, times T^2.

    `-T^2 / batch * sum_ij softmax(teacher_i / T)_j * log_softmax(student_i / T)_j` (equation 1; the factor T^2 keeps
    the gradient's size, section 2). Its gradient equals that of T^2 times the KL divergence.

    Args:
        student: Logits `[batch, classes]`.
        teacher: Logits `[batch, classes]`, exactly of the student's shape.
        temperature: T, above 0.

    Returns:
        A scalar, the mean over the batch.

    Raises:
        ValueError: the shapes differ (they would broadcast to a plausible number).
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"student logits {list(student.shape)} and teacher logits {list(teacher.shape)} differ in shape"
        )
    targets = functional.softmax(teacher / temperature, dim=1)
    return functional.cross_entropy(student / temperature, targets) * temperature**2


@distillers.register("soft-targets")
@dataclass(eq=False)
class SoftTargets(Distiller):
    """Cross-entropy with the teacher's softened predictions, times T^2 (Hinton, Vinyals, Dean 2015)."""

    formula = "T^2 * mean over images of CE(softmax(student / T), softmax(teacher / T))"
    temperature: float = option(4.0, "Temperature of the soft targets.", low=0.1, high=100)

    def forward(self, batch: DistillationBatch) -> Tensor:
        """See `soft_target_loss`."""
        return soft_target_loss(batch.student[LOGITS], batch.teacher[LOGITS], self.temperature)
