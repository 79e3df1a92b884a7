"""Hard targets: the teacher's choice of class as the label.

Source: the limit of temperature 0 of Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); as "hard-label distillation" in
H. Touvron et al., "Training data-efficient image transformers", ICML 2021 (arXiv 2012.12877), equation 3.
"""

from torch import Tensor
from torch.nn import functional

from kdflow.distillers.base import DistillationBatch, Distiller, distillers
from kdflow.models.features import LOGITS


@distillers.register("hard-targets")
class HardTargets(Distiller):
    """Cross-entropy with the class that the teacher finds most likely (Touvron et al. 2021)."""

    formula = "mean over images of CE(softmax(student), argmax(teacher))"

    def forward(self, batch: DistillationBatch) -> Tensor:
        """Logits `[batch, classes]` of both to a scalar, the mean over the batch."""
        return functional.cross_entropy(batch.student[LOGITS], batch.teacher[LOGITS].argmax(1))
