"""A comparison of any size, made by hand: its runs, curves, teachers and baselines, and the predictions of every run.

Images differ in how hard they are, students see them as their teacher does, the more so the less their alpha is, and
accuracies are those of the predictions: what is reckoned of them has an answer that makes sense.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from kdflow.analysis.comparison import Comparison, Row
from kdflow.evaluation.predictions import Predicted, Predictions

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
ALPHAS = (0.5, 0.0, 0.75, 0.25, 0.9, 0.1)
TEMPERATURES = (1.0, 4.0)
EPOCHS = 10


class Made(NamedTuple):
    comparison: Comparison
    predictions: dict[str, Predictions]


def made_comparison(*, arms: int = 3, seeds: int = 3, images: int = 200, classes: int = 4, seed: int = 0) -> Made:
    """A teacher for each seed, and students of all seeds.

    Args:
        arms: Of students, with that of alpha = 1, which comes first; at most 13.
        seeds: 0, 1, ...: so many runs an arm.
        images: Of the test part; the validation part has half as many.
        classes: So many.
        seed: Of all that is random.
    """
    generator = np.random.default_rng(seed)
    names = tuple(NAMES[n] if n < len(NAMES) else f"class {n}" for n in range(classes))
    parts = [_Images(count, classes, generator) for count in (images // 2, images)]
    settings = [(alpha, t) for t in TEMPERATURES for alpha in ALPHAS][: arms - 1]
    settings = [(1.0, None), *sorted(settings, key=lambda one: (-one[0], one[1]))]
    rows: list[Row] = []
    predictions: dict[str, Predictions] = {}
    baselines, teachers = {}, {}
    for number in range(seeds):
        run_id = f"{number:032x}"
        predictions[run_id] = Predictions(*(one.seen(1.7, generator) for one in parts), names)
        rows.append(_row(run_id, predictions, None, number, (None, None), generator))
    for arm, (alpha, temperature) in enumerate(settings, start=1):
        for number in range(seeds):
            run_id = f"{arm * 4096 + number:032x}"
            teacher = predictions[rows[number].run_id]
            seen = (
                one.seen(1.3, generator, taught_by=part.logits, share=0.25 * (1 - alpha))
                for one, part in zip(parts, (teacher.val, teacher.test), strict=True)
            )
            predictions[run_id] = Predictions(*seen, names)
            rows.append(_row(run_id, predictions, rows[number], number, (alpha, temperature), generator))
            teachers[run_id] = rows[number].run_id
            if alpha < 1:
                baselines[run_id] = f"{4096 + number:032x}"
    comparison = Comparison.of(
        rows,
        dataset="cifar10",
        data_digest="sha256:aa",
        split_digest="sha256:bb",
        footnotes=(),
        baselines=baselines,
        teachers=teachers,
    )
    return Made(comparison, predictions)


class _Images:
    """Images of one part: their labels, and what every model sees in them."""

    def __init__(self, count: int, classes: int, generator: np.random.Generator) -> None:
        self.labels = np.arange(count, dtype=np.int64) % classes
        self.common = generator.normal(size=(count, classes))

    def seen(
        self,
        skill: float,
        generator: np.random.Generator,
        *,
        taught_by: NDArray[np.float32] | None = None,
        share: float = 0.0,
    ) -> Predicted:
        logits = self.common + generator.normal(size=self.common.shape)
        logits[np.arange(len(self.labels)), self.labels] += skill * np.log(self.common.shape[1])
        if taught_by is not None:
            logits = (1 - share) * logits + share * taught_by
        return Predicted(logits.astype(np.float32), self.labels, np.arange(len(self.labels)))


def _row(
    run_id: str,
    predictions: dict[str, Predictions],
    teacher: Row | None,
    seed: int,
    loss: tuple[float | None, float | None],
    generator: np.random.Generator,
) -> Row:
    alpha, temperature = loss
    val, test = (
        float((part.logits.argmax(1) == part.labels).mean())
        for part in (predictions[run_id].val, predictions[run_id].test)
    )
    return Row(
        run_id=run_id,
        role="student" if teacher else "teacher",
        model="small-cnn" if teacher else "alexnet",
        alpha=alpha,
        distiller="soft-targets" if temperature else None,
        temperature=temperature,
        seed=seed,
        epochs=EPOCHS,
        settings="",
        parameters=105_386 if teacher else 3_000_000,
        train_accuracy=min(1.0, val + 0.1),
        val_accuracy=val,
        test_accuracy=test,
        gap=test - teacher.test_accuracy if teacher else None,
        history=_history(val, generator, is_distilled=temperature is not None),
    )


def _history(val: float, generator: np.random.Generator, *, is_distilled: bool) -> dict[str, list[float]]:
    """Curves that level out; the accuracy of the last epoch is that of the validation images."""
    epochs = np.arange(1, EPOCHS + 1)
    rising = 1 - np.exp(-epochs / 3)
    rising /= rising[-1]

    def curve(first: float, last: float) -> list[float]:
        noise = generator.normal(scale=0.01 * abs(first - last), size=EPOCHS)
        noise[-1] = 0
        return [float(value) for value in first + (last - first) * rising + noise]

    found = {
        "train/loss": curve(2.0, 0.6),
        "train/label_loss": curve(2.0, 0.7),
        "train/accuracy": curve(0.2, val + 0.05),
        "val/loss": curve(2.0, 0.8),
        "val/label_loss": curve(2.0, 0.9),
        "val/accuracy": curve(0.2, val),
    }
    if is_distilled:
        found |= {
            "train/distill_loss": curve(1.5, 0.3),
            "val/teacher_kl": curve(1.2, 0.2),
            "val/teacher_agreement": curve(0.2, 0.85),
        }
    return found


def told(answers: list[int], labels: list[int], *, classes: int = 3, logit: float = 2.0) -> Predictions:
    """Predictions by hand: these answers to test and validation images, each as sure as its logit says."""
    logits = np.zeros((len(labels), classes), np.float32)
    logits[np.arange(len(labels)), answers] = logit
    part = Predicted(logits, np.array(labels, np.int64), np.arange(len(labels)) + 100)
    return Predictions(part, part, NAMES[:classes])
