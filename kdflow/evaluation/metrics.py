"""What is measured of a model, each metric said once: what it is called, what it means, how it is computed.

Where a metric is computed follows from its name: "train/..." over an epoch's training batches as they are trained on,
"val/..." on the validation images after each epoch, "final/train_...", "final/val_..." and "final/test_..." once, on
the model as it is registered. Logs, tables, files and figures follow from what is declared here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.nn import functional

from kdflow.common.registry import Registry
from kdflow.models.features import LOGITS, Activations

FRACTION, NATS = "fraction", "nats"


@dataclass(frozen=True)
class Observed:
    """What one model makes of one batch.

    Attributes:
        logits: `[batch, classes]`; of a registered model, log-probabilities.
        answers: int64 `[batch]`, the class that it finds most likely.
        labels: int64 `[batch]`.
        losses: By name, sums over the images of the batch: "label_loss"; in training also "loss", the objective, and
            "distill_loss" where a teacher has a part in it.
        teacher: What the teacher makes of the batch; empty without one.
    """

    logits: Tensor
    answers: Tensor
    labels: Tensor
    losses: Mapping[str, Tensor]
    teacher: Activations


Compute = Callable[[Observed], Tensor | None]
"""The sum over the images of a batch, a scalar on their device; None where it does not apply to this model."""


@dataclass(frozen=True)
class Metric:
    """A metric.

    Attributes:
        name: Under which it is logged, such as "val/accuracy".
        heading: In words, for figures and docs.
        unit: "fraction" (shown in percent), "nats", "s", ...; empty for a count.
        better: "up", "down", or empty where neither is.
        compute: How it is computed; None where the training itself knows it, such as its speed.
        curve: Whether a comparison keeps its value of each epoch.
        column: Heading of its column in the table of a comparison; empty for none.
        panel: Title of its panel in the curves of a comparison, which metrics of training and validation share; empty
            for none.
        log_scale: Whether that panel is logarithmic.
    """

    name: str
    heading: str
    unit: str = ""
    better: str = ""
    compute: Compute | None = None
    curve: bool = False
    column: str = ""
    panel: str = ""
    log_scale: bool = False


metrics: Registry[Metric] = Registry("metric")


def declare(metric: Metric) -> Metric:
    """Enters a metric, for all that log, show or compare runs.

    Raises:
        ValueError: there is one of that name.
    """
    return metrics.register(metric.name)(metric)


def computed(part: str) -> dict[str, Compute]:
    """How the metrics of a part are computed, by name.

    Args:
        part: Begins their names: "train/", "val/" or "final/test_".
    """
    found = {name: metrics[name].compute for name in metrics if name.startswith(part)}
    return {name: compute for name, compute in found.items() if compute is not None}


def measure(part: str, observed: Observed) -> dict[str, Tensor]:
    """The metrics of a part that apply to what was observed: sums over the images, scalars."""
    sums = {name: compute(observed) for name, compute in computed(part).items()}
    return {name: value for name, value in sums.items() if value is not None}


def curves() -> tuple[str, ...]:
    """Names of the metrics of which a comparison keeps every epoch."""
    return tuple(name for name in metrics if metrics[name].curve)


def drawn() -> tuple[str, ...]:
    """Names of the metrics that have a panel in the curves of a comparison."""
    return tuple(name for name in metrics if metrics[name].panel)


def columns() -> dict[str, str]:
    """Names of the metrics that have a column in the table of a comparison, with its heading."""
    return {name: metrics[name].column for name in metrics if metrics[name].column}


def correct(observed: Observed) -> Tensor:
    """How many answers are right."""
    return (observed.answers == observed.labels).sum()


def loss(name: str) -> Compute:
    """A loss, or a part of it, by name."""
    return lambda observed: observed.losses.get(name)


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


def _teacher_kl(observed: Observed) -> Tensor | None:
    if LOGITS not in observed.teacher:
        return None
    return teacher_kl(observed.logits, observed.teacher[LOGITS]) * len(observed.labels)


def _agreement(observed: Observed) -> Tensor | None:
    if LOGITS not in observed.teacher:
        return None
    return (observed.answers == observed.teacher[LOGITS].argmax(1)).sum()


_FLOORS = "Objective of each run. Floors differ with alpha and T: compare shapes, not heights."
_OBJECTIVE: dict[str, Any] = {"curve": True, "panel": _FLOORS, "log_scale": True}
_LABELS: dict[str, Any] = {"curve": True, "panel": "Cross-entropy with the labels. It compares across runs."}
_TEACHER: dict[str, Any] = {
    "curve": True,
    "panel": "KL divergence from the teacher, at temperature 1. It compares too.",
}
for _metric in (
    Metric("train/loss", "objective", NATS, "down", loss("loss"), **_OBJECTIVE),
    Metric("train/label_loss", "cross-entropy", NATS, "down", loss("label_loss"), **_LABELS),
    Metric("train/distill_loss", "distillation loss", NATS, "down", loss("distill_loss"), curve=True),
    Metric("train/accuracy", "accuracy", FRACTION, "up", correct, curve=True),
    Metric("val/loss", "objective", NATS, "down", loss("loss"), **_OBJECTIVE),
    Metric("val/label_loss", "cross-entropy", NATS, "down", loss("label_loss"), **_LABELS),
    Metric("val/accuracy", "accuracy", FRACTION, "up", correct, curve=True),
    Metric("val/teacher_kl", "divergence from the teacher", NATS, "down", _teacher_kl, **_TEACHER),
    Metric("val/teacher_agreement", "agreement with the teacher", FRACTION, "up", _agreement, curve=True),
    Metric("learning_rate", "learning rate of the last step"),
    Metric("speed/epoch_seconds", "seconds of training in an epoch", "s", "down"),
    Metric("speed/images_per_second", "images a second", "1/s", "up"),
    Metric("final/train_accuracy", "accuracy on clean training images", FRACTION, "up", correct, column="train"),
    Metric("final/val_accuracy", "accuracy on validation images", FRACTION, "up", correct, column="val"),
    Metric("final/test_accuracy", "accuracy on test images", FRACTION, "up", correct, column="test"),
    Metric("final/test_loss", "cross-entropy on test images", NATS, "down", loss("label_loss")),
    Metric("speed/latency_ms", "milliseconds for one image", "ms", "down"),
    Metric("speed/batch_images_per_second", "images a second in a batch of 128", "1/s", "up"),
    Metric("speed/latency_to_teacher", "time for one image, in multiples of the teacher's", "", "down"),
    Metric("speed/throughput_to_teacher", "images a second, in multiples of the teacher's", "", "up"),
):
    declare(_metric)
