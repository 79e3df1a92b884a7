"""Studies made of nothing but who is right on what: comparisons and the predictions that go with them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kdflow.analysis.comparison import Comparison, Row
from kdflow.evaluation.predictions import Predicted, Predictions
from tests.comparisons import FACTS, LABELS_ONLY, MIXED, TEACHER

Bools = np.ndarray


def predictions(correct: Bools) -> Predictions:
    """Of a model that is right on these test images."""
    labels = np.zeros(len(correct), np.int64)
    logits = np.stack([correct, ~correct], axis=1).astype(np.float32)
    test = Predicted(logits, labels, np.arange(len(correct)))
    return Predictions(test, test, ("cat", "dog"))


def run_id(arm: int, seed: int) -> str:
    return f"{arm:016x}{seed:016x}"


def study(
    correct: Bools, *, seeds: Sequence[int] = (), teachers: Sequence[int] = (), validation: Sequence[float] = ()
) -> tuple[Comparison, Mapping[str, Predictions]]:
    """Arms of labels (the first) and of temperatures 1, 2, ...

    Args:
        correct: `[arms, seeds, images]`.
        seeds: By default 0, 1, ...
        teachers: Their seeds.
        validation: Accuracy of each arm.
    """
    seeds = tuple(seeds) or tuple(range(correct.shape[1]))
    rows: list[Row] = [replace(TEACHER, run_id=run_id(255, seed), seed=seed) for seed in teachers]
    kept, baselines = {}, {}
    for arm, of_arm in enumerate(correct):
        like = replace(MIXED, temperature=float(arm)) if arm else LABELS_ONLY
        for seed, right in zip(seeds, of_arm, strict=True):
            name = run_id(arm, seed)
            accuracy = validation[arm] if len(validation) else like.val_accuracy
            rows.append(replace(like, run_id=name, seed=seed, test_accuracy=right.mean(), val_accuracy=accuracy))
            kept[name] = predictions(right)
            if arm:
                baselines[name] = run_id(0, seed)
    return Comparison.of(rows, **FACTS | {"footnotes": ()}, baselines=baselines), kept


def arms_of(*accuracies: float, seeds: int = 5, images: int = 4000, noise: float = 0.2, seed: int = 0) -> Bools:
    """Arms that are right on so large a share of the images, the same ones but for some noise."""
    rng = np.random.default_rng(seed)
    hard = rng.random((1, 1, images))
    flips = rng.random((len(accuracies), seeds, images)) < noise
    anew = rng.random((len(accuracies), seeds, images))
    return np.where(flips, anew, hard) < np.array(accuracies)[:, None, None]
