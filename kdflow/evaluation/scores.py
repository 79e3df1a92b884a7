"""How good a model is: loss and accuracy against the labels, likeness to the teacher."""

import torch
from torch import Tensor
from torch.nn import functional

from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.batches import in_order
from kdflow.models.export import Servable

BATCH_SIZE = 500
CPU = torch.device("cpu")


def correct(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of `[batch]` labels are the largest of `[batch, classes]` logits; a scalar count."""
    return (logits.argmax(1) == labels).sum()


def teacher_kl(student: Tensor, teacher: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(teacher || student) in nats, at temperature 1.

    Args:
        student: Logits `[batch, classes]`.
        teacher: Logits `[batch, classes]`.

    Returns:
        A scalar, the mean over the batch.
    """
    ours, theirs = student.log_softmax(1), teacher.log_softmax(1)
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)


def final_scores(model: Servable, data: Dataset, *, device: torch.device = CPU) -> dict[str, float]:
    """The figures a finished run is judged by, on the model as it is registered.

    This is the one place that reads the test split.

    Returns:
        `final/train_accuracy`, `final/val_accuracy`, `final/test_accuracy` (fractions) and `final/test_loss` (nats an
        image). Training images are clean here, validation images as drawn for every run.
    """
    scores = {}
    for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        scores[f"final/{name}_accuracy"], loss = score(model, split, device=device)
    return {**scores, "final/test_loss": loss}


def score(model: Servable, split: Split, *, device: torch.device = CPU) -> tuple[float, float]:
    """Accuracy (a fraction) and mean cross-entropy (nats) of a registered model on raw images."""
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    with torch.inference_mode():
        for batch in in_order(split, BATCH_SIZE):
            batch = batch.to(device)
            probabilities = model(batch.images.permute(0, 2, 3, 1))
            loss = functional.nll_loss(probabilities.clamp_min(1e-12).log(), batch.labels, reduction="sum")
            sums += torch.stack([correct(probabilities, batch.labels), loss])
    hits, loss = sums.tolist()
    return hits / len(split), loss / len(split)
