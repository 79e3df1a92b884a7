"""What runs make of the test images, and their teachers of the same ones: what measures are computed of."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from kdflow.analysis.calibration import (
    Bools,
    Floats,
    Ints,
    ece_interval,
    equal_width,
    finite,
    fit_temperature,
    log_probabilities,
)
from kdflow.analysis.comparison import Comparison
from kdflow.evaluation.predictions import Predictions


@dataclass(frozen=True, eq=False)
class Confidence:
    """How sure a model is of what it answers of the test images.

    Attributes:
        log_probs: Logarithms of probabilities `[N, classes]`.
        labels: `[N]`.
        correct: Whether the answer is right, `[N]`.
    """

    log_probs: Floats
    labels: Ints
    correct: Bools

    @cached_property
    def confidence(self) -> Floats:
        """Probability of the answer, `[N]`."""
        return np.exp(self.log_probs.max(1))

    @cached_property
    def numbers(self) -> Ints:
        """Bins of equal width, `[N]`."""
        return equal_width(self.confidence)

    @cached_property
    def ece_interval(self) -> tuple[float, float]:
        """Of the calibration error with these bins, 95 % over the images."""
        return ece_interval(self.confidence, self.correct, self.numbers)


@dataclass(frozen=True, eq=False)
class Seen:
    """What one run makes of the test images; all is computed when it is first asked for.

    Attributes:
        predictions: Of the run.
        teacher: What its teacher makes of the same images; None without one.
    """

    predictions: Predictions
    teacher: "Seen | None" = None

    @property
    def labels(self) -> Ints:
        """`[N]`."""
        return self.predictions.test.labels

    @cached_property
    def answers(self) -> Ints:
        """The class that it finds most likely, `[N]`; the same at every temperature."""
        return self._logits.argmax(1)

    @cached_property
    def temperature(self) -> float | None:
        """That which fits the clean validation images best; None if there are none."""
        val = self.predictions.val
        return fit_temperature(finite(val.logits), val.labels) if len(val.labels) else None

    @cached_property
    def raw(self) -> Confidence:
        """As the model says."""
        return self._confidence(1.0)

    @cached_property
    def scaled(self) -> Confidence | None:
        """By its temperature; None without one."""
        return None if self.temperature is None else self._confidence(self.temperature)

    def is_alike(self, other: "Seen") -> bool:
        """Whether both saw the same images, and can be compared one by one."""
        ours, theirs = self.predictions, other.predictions
        return ours.classes == theirs.classes and np.array_equal(ours.test.index, theirs.test.index)

    @property
    def _logits(self) -> Floats:
        return finite(self.predictions.test.logits)

    def _confidence(self, temperature: float) -> Confidence:
        return Confidence(log_probabilities(self._logits, temperature), self.labels, self.answers == self.labels)


def seen(comparison: Comparison, predictions: Mapping[str, Predictions]) -> Iterator[tuple[str, Seen]]:
    """Run id and what the run makes of the test images, in the order of the runs, of those with predictions.

    Args:
        comparison: The runs.
        predictions: By run id, those that were kept.
    """
    teachers = {run_id: Seen(predictions[run_id]) for run_id in set(comparison.teachers.values()) & set(predictions)}
    for run_id in comparison.runs["run_id"]:
        if run_id in teachers:
            yield run_id, teachers[run_id]
        elif run_id in predictions:
            alone = Seen(predictions[run_id])
            teacher = teachers.get(comparison.teachers.get(run_id, ""))
            yield run_id, replace(alone, teacher=teacher) if teacher and alone.is_alike(teacher) else alone
