"""Which classes an arm knows, which it takes for one another, and where it gains."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame
from sklearn.metrics import confusion_matrix

from kdflow.analysis.arms import numbered
from kdflow.analysis.calibration import Floats
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.seen import Seen, seen
from kdflow.evaluation.predictions import Predictions


def class_accuracy(comparison: Comparison, predictions: Mapping[str, Predictions]) -> DataFrame:
    """Returns one line an arm and class: arm, class, accuracy and gain, fractions.

    Accuracy is the mean over the seeds; gain the mean difference to the run of `comparison.baselines`, over the pairs
    of which both have predictions. What does not apply is None, as all is of a class without test images.

    Args:
        comparison: The runs.
        predictions: By run id.
    """
    known = {run_id: _shares(one).diagonal() for run_id, one in seen(comparison, predictions)}
    names = next((one.predictions.classes for _, one in seen(comparison, predictions)), ())
    lines = []
    for arm, run_ids in _by_arm(comparison, known).items():
        pairs = [(run_id, comparison.baselines.get(run_id, "")) for run_id in run_ids]
        gains = [known[ours] - known[theirs] for ours, theirs in pairs if theirs in known]
        accuracy = np.mean([known[run_id] for run_id in run_ids], axis=0)
        gain = np.mean(gains, axis=0) if gains else np.full(len(names), np.nan)
        lines += [(arm, *line) for line in zip(names, accuracy, gain, strict=True)]
    whole = DataFrame(lines, columns=["arm", "class", "accuracy", "gain"], dtype=object)
    return whole.where(whole.notna(), None)


def confusion(comparison: Comparison, predictions: Mapping[str, Predictions]) -> dict[int, NDArray[np.float64]]:
    """Returns by arm the mean share of the answers to the images of each class, `[classes, classes]`.

    Rows are labels, and sum to 1; that of a class without test images is NaN.

    Args:
        comparison: The runs.
        predictions: By run id.
    """
    known = {run_id: _shares(one) for run_id, one in seen(comparison, predictions)}
    return {
        arm: np.mean([known[run_id] for run_id in run_ids], axis=0)
        for arm, run_ids in _by_arm(comparison, known).items()
    }


def _by_arm(comparison: Comparison, known: Mapping[str, object]) -> dict[int, list[str]]:
    """Run ids by arm, of those that are known."""
    found: dict[int, list[str]] = {}
    for arm, run_id in zip(numbered(comparison.runs), comparison.runs["run_id"], strict=True):
        if run_id in known:
            found.setdefault(arm, []).append(run_id)
    return found


def _shares(one: Seen) -> Floats:
    classes = np.arange(len(one.predictions.classes))
    counts = confusion_matrix(one.labels, one.answers, labels=classes).astype(np.float64)
    images = counts.sum(1, keepdims=True)
    return np.divide(counts, images, out=np.full_like(counts, np.nan), where=images > 0)
