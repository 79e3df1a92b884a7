"""How good a finished model is, as it is registered: the final metrics, and the predictions behind them."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.batches import in_order
from kdflow.evaluation.metrics import Observed, measure
from kdflow.evaluation.predictions import Predicted, Predictions
from kdflow.models.export import Servable

BATCH_SIZE = 500
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Evaluation:
    """What a finished model is judged by.

    Attributes:
        scores: The metrics whose names begin with "final/", such as `final/test_accuracy` (a fraction) and
            `final/test_loss` (nats an image).
        predictions: Of the clean validation and the test images.
    """

    scores: dict[str, float]
    predictions: Predictions


def final_evaluation(model: Servable, data: Dataset, *, device: torch.device = CPU) -> Evaluation:
    """Evaluates a finished model as it is registered. This is the one place that reads the test split, and once.

    Training images are clean here, and scored on validation images as drawn for every run.
    """
    scores, test = score(model, data.train, "final/train_", device=device), data.test
    scores |= score(model, data.val, "final/val_", device=device)
    clean, seen = logits_of(model, data.clean_val, device=device), logits_of(model, test, device=device)
    scores |= score_logits(seen, test.labels, "final/test_")
    predictions = Predictions(
        _predicted(clean, data.clean_val.labels, data.val_index),
        _predicted(seen, test.labels, torch.arange(len(test))),
        tuple(data.classes),
    )
    return Evaluation(scores, predictions)


def score(model: Servable, split: Split, part: str, *, device: torch.device = CPU) -> dict[str, float]:
    """Means over the images of a split of a registered model's metrics.

    Args:
        model: From raw images.
        split: Raw images.
        part: Begins the metrics' names, such as "final/test_".
        device: Where the model is.
    """
    return score_logits(logits_of(model, split, device=device), split.labels, part)


def score_logits(logits: Tensor, labels: Tensor, part: str) -> dict[str, float]:
    """The same of logits `[N, classes]` and labels int64 `[N]`."""
    sums: dict[str, Tensor] = {}
    for seen, theirs in zip(logits.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
        probabilities, theirs = seen.softmax(1), theirs.to(seen.device)
        registered = probabilities.clamp_min(1e-12).log()
        loss = functional.nll_loss(registered, theirs, reduction="sum")
        observed = Observed(registered, probabilities.argmax(1), theirs, {"label_loss": loss}, {})
        for name, value in measure(part, observed).items():
            sums[name] = sums.get(name, 0) + value.double()
    return {name: total.item() / len(labels) for name, total in sums.items()}


@torch.inference_mode()
def logits_of(model: Servable, split: Split, *, device: torch.device = CPU) -> Tensor:
    """What a model makes of raw images, float32 `[N, classes]` on its device."""
    batches = in_order(split, BATCH_SIZE)
    return torch.cat([model.logits(batch.images.to(device).permute(0, 2, 3, 1)) for batch in batches])


def _predicted(logits: Tensor, labels: Tensor, index: Tensor) -> Predicted:
    return Predicted(logits.float().cpu().numpy(), labels.cpu().numpy(), index.cpu().numpy())
