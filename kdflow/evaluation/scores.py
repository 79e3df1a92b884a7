"""How good a finished model is, as it is registered: the final metrics."""

import torch
from torch.nn import functional

from kdflow.data import Dataset
from kdflow.data.base import Split
from kdflow.data.batches import in_order
from kdflow.evaluation.metrics import Observed, measure
from kdflow.models.export import Servable

BATCH_SIZE = 500
CPU = torch.device("cpu")


def final_scores(model: Servable, data: Dataset, *, device: torch.device = CPU) -> dict[str, float]:
    """The figures a finished run is judged by, on the model as it is registered.

    This is the one place that reads the test split.

    Returns:
        The metrics whose names begin with "final/", such as `final/test_accuracy` (a fraction) and `final/test_loss`
        (nats an image). Training images are clean here, validation images as drawn for every run.
    """
    scores: dict[str, float] = {}
    for name, split in (("train", data.train), ("val", data.val), ("test", data.test)):
        scores |= score(model, split, f"final/{name}_", device=device)
    return scores


def score(model: Servable, split: Split, part: str, *, device: torch.device = CPU) -> dict[str, float]:
    """Means over the images of a split of a registered model's metrics.

    Args:
        model: From raw images to probabilities.
        split: Raw images.
        part: Begins the metrics' names, such as "final/test_".
        device: Where the model is.
    """
    sums: dict[str, torch.Tensor] = {}
    with torch.inference_mode():
        for batch in in_order(split, BATCH_SIZE):
            labels = batch.labels.to(device)
            probabilities = model(batch.images.to(device).permute(0, 2, 3, 1))
            logits = probabilities.clamp_min(1e-12).log()
            loss = functional.nll_loss(logits, labels, reduction="sum")
            seen = Observed(logits, probabilities.argmax(1), labels, {"label_loss": loss}, {})
            for name, value in measure(part, seen).items():
                sums[name] = sums.get(name, 0) + value.double()
    return {name: total.item() / len(split) for name, total in sums.items()}
