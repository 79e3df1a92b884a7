"""An answer of any size with plausible numbers, made directly: the tests of reports need no statistics to be right."""

from dataclasses import replace
from typing import Any

import numpy as np
from pandas import DataFrame
from scipy import stats

from kdflow.analysis.answer import Answer, Parting, Provenance
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effect import EQUIVALENT, GAIN, LOSS, ONE_PAIR, UNDECIDED, Effect
from tests.analysis.made import NAMES, made_comparison
from tests.comparisons import with_rows

MARGIN = 0.005
FIDELITY = {
    "teacher_agreement": 0.8,
    "teacher_kl": 0.35,
    "accuracy_where_teacher_right": 0.85,
    "accuracy_where_teacher_wrong": 0.25,
    "errors_shared": 0.4,
}
CALIBRATION = {"nll": 0.85, "brier": 0.39, "ece_width": 0.05, "ece_mass": 0.05, "temperature": 1.3}
CALIBRATION |= {f"{name}_scaled": 0.9 * CALIBRATION[name] for name in ("nll", "brier", "ece_width", "ece_mass")}
COST = {"forward_flops": 5e6, "bytes": 450_000, "latency_ms": 0.4, "batch_images_per_second": 9000.0}
COST |= {"latency_to_teacher": 0.2, "throughput_to_teacher": 8.0}


def made_answer(*, arms: int = 5, seeds: int = 5, classes: int = 10, outlier: bool = False, **facts: Any) -> Answer:
    """An answer of students of a teacher for each seed.

    Args:
        arms: Of students.
        seeds: An arm.
        classes: Of the images.
        outlier: Whether a student of the last arm is at chance.
        facts: Attributes that are to be otherwise.
    """
    comparison, _ = made_comparison(arms=arms, seeds=seeds, classes=classes)
    generator = np.random.default_rng(0)
    comparison = _plausible(comparison, generator, outlier=outlier)
    students = [n for n, arm in comparison.arms.iterrows() if arm["role"] == "student"]
    names = [*NAMES, *(f"class {n}" for n in range(10, classes))][:classes]
    measures = _measures(comparison, generator)
    known: dict[str, Any] = {
        "effects": _effects(comparison),
        "sentence": "A small-cnn student that learns from its alexnet teacher (alpha = 0.5, T = 4) gains 1.9 points of "
        "test accuracy over alpha = 1 (95 % interval +1.2 to +2.6 over new seeds and new images, 5 seeds, a teacher "
        "for each).",
        "notes": ("A teacher for each seed: the claim is about the procedure.", f"Holm over {arms - 1} arms."),
        "measures": measures,
        "arm_measures": _arm_measures(comparison, measures),
        "reliability": _reliability(comparison, generator),
        "class_accuracy": _class_accuracy(students, names, generator),
        "confusion": {arm: _confusion(classes, generator) for arm in students},
        "learning": _learning(comparison, generator),
        "partings": _partings(names, students, generator),
        "provenance": _provenance(comparison),
    }
    return Answer.of(comparison, **known | {"margin": MARGIN} | facts)


def _plausible(comparison: Comparison, generator: np.random.Generator, *, outlier: bool) -> Comparison:
    rows = []
    for row in comparison.rows:
        kept = 1.0 if row.alpha is None else row.alpha
        gain = 0.02 * (1 - kept) * (1.6 if row.temperature == 4 else 0.4) - 0.01 * (kept == 0)
        test = (0.818 if row.role == "teacher" else 0.712 + gain) + generator.normal(scale=0.004)
        history = {
            name: [value * (test / row.val_accuracy if name.endswith("accuracy") else 1 + 0.3 * (1 - kept))
                   for value in values]
            for name, values in row.history.items()
        }  # fmt: skip
        accuracies = {"train_accuracy": min(1, test * 1.13), "val_accuracy": test - 0.004, "test_accuracy": test}
        rows.append(replace(row, **accuracies, gap=None if row.gap is None else test - 0.818, history=history))
    if outlier:
        chance = {name: [2.303 if "loss" in name else 0.1] * len(values) for name, values in rows[-1].history.items()}
        rows[-1] = replace(rows[-1], val_accuracy=0.1, test_accuracy=0.1, train_accuracy=0.1, history=chance)
    return with_rows(comparison, rows)


def _effects(comparison: Comparison) -> tuple[Effect, ...]:
    arms = comparison.rows_by_arm
    baseline = next(n for n, rows in enumerate(arms) if rows[0].alpha == 1)
    found = []
    for arm, rows in enumerate(arms):
        if rows[0].alpha is None or rows[0].alpha == 1:
            continue
        differences = [a.test_accuracy - b.test_accuracy for a, b in zip(rows, arms[baseline], strict=True)]
        found.append(_effect(arm, baseline, differences))
    return tuple(found)


def _effect(arm: int, baseline: int, differences: list[float]) -> Effect:
    n, mean = len(differences), float(np.mean(differences))
    seeds = tuple(range(n))
    common: dict[str, Any] = {"arm": arm, "baseline": baseline, "seeds": seeds, "unpaired": 0, "level": 0.95}
    common |= {"differences": tuple(differences), "mean": mean, "seeds_needed": None}
    if n == 1:
        return Effect(**common, deviation=None, interval=None, block_interval=None, p_value=0.03, wins=None,
                      verdict=ONE_PAIR, method="McNemar's exact test")  # fmt: skip
    deviation = float(np.std(differences, ddof=1))
    half = float(stats.t.ppf(0.975, n - 1)) * deviation / n**0.5
    low, high = mean - 1.2 * half, mean + 1.2 * half
    verdict = GAIN if low > 0 else LOSS if high < 0 else UNDECIDED
    if low > -MARGIN and high < MARGIN:
        verdict = EQUIVALENT
    common["seeds_needed"] = 9 if verdict == UNDECIDED else None
    return Effect(**common, deviation=deviation, interval=(low, high), block_interval=(mean - half, mean + half),
                  p_value=0.01, wins=0.9, verdict=verdict, method="two-way, pooled over arms")  # fmt: skip


def _measures(comparison: Comparison, generator: np.random.Generator) -> DataFrame:
    lines = []
    for row in comparison.rows:
        teacher = row.role == "teacher"
        lines.append({"run_id": row.run_id, "parameters": row.parameters})
        for name, value in (FIDELITY | CALIBRATION | COST).items():
            applies = not teacher or not (name in FIDELITY or name.endswith("_to_teacher"))
            size = (8.0 if teacher and name in COST else 1.0) * (1 - 0.1 * (1 - (row.alpha or 0)))
            noise = 1 + 0.02 * generator.normal() * (name not in ("forward_flops", "bytes"))
            lines[-1][name] = value * size * noise if applies else None
        lines[-1] |= {"ece_low": 0.8 * lines[-1]["ece_width"], "ece_high": 1.2 * lines[-1]["ece_width"]}
    return DataFrame(lines)


def _arm_measures(comparison: Comparison, measures: DataFrame) -> DataFrame:
    by_run = measures.set_index("run_id")
    lines = []
    for arm, rows in enumerate(comparison.rows_by_arm):
        line: dict[str, Any] = {"arm": arm}
        for name in by_run.columns:
            values = by_run.loc[[row.run_id for row in rows], name].dropna().astype(float)
            line[f"{name}_mean"] = float(values.mean()) if len(values) else None
            line[f"{name}_std"] = float(values.std(ddof=1)) if len(values) > 1 else None
        lines.append(line)
    return DataFrame(lines)


def _reliability(comparison: Comparison, generator: np.random.Generator) -> DataFrame:
    lines = []
    for arm in range(len(comparison.arms)):
        for scaled in (False, True):
            for confidence in np.linspace(0.17, 0.97, 13):
                off = (0.01 if scaled else 0.1) * np.sin(np.pi * confidence) + 0.01 * generator.normal()
                lines.append((arm, scaled, confidence, confidence - off, confidence**2 / 5))
    return DataFrame(lines, columns=["arm", "scaled", "confidence", "accuracy", "weight"])


def _class_accuracy(students: list[int], names: list[str], generator: np.random.Generator) -> DataFrame:
    lines = [
        (arm, name, 0.7 + 0.1 * generator.normal(), None if place == 0 else 0.01 + 0.02 * generator.normal())
        for place, arm in enumerate(students)
        for name in names
    ]
    return DataFrame(lines, columns=["arm", "class", "accuracy", "gain"])


def _confusion(classes: int, generator: np.random.Generator) -> Any:
    shares = generator.random((classes, classes)) ** 4 + classes * np.eye(classes)
    return shares / shares.sum(1, keepdims=True)


def _learning(comparison: Comparison, generator: np.random.Generator) -> DataFrame:
    lines = []
    for arm, rows in enumerate(comparison.rows_by_arm):
        for accuracy in (0.5, 0.6, 0.7):
            reached = len(rows) if accuracy < 0.7 else len(rows) // 2
            epochs = 20 * (accuracy - 0.4) + generator.normal(scale=0.2) if reached else None
            lines.append((arm, accuracy, epochs, 0.4 if reached > 1 else None, reached, len(rows)))
    return DataFrame(lines, columns=["arm", "accuracy", "epochs_mean", "epochs_std", "reached", "runs"])


def _partings(names: list[str], students: list[int], generator: np.random.Generator) -> tuple[Parting, ...]:
    found = []
    for place in range(24):
        label, other = names[place % len(names)], names[(3 * place + 1) % len(names)]
        teacher, student = (label, other) if place % 2 else (other, label)
        image = generator.integers(0, 256, (32, 32, 3), dtype=np.uint8)
        found.append(Parting(41 * place, label, teacher, student, students[-1], 1 - place / 48, image))
    return tuple(found)


def _provenance(comparison: Comparison) -> Provenance:
    facts = {
        "command": "kdflow study --dataset cifar10 --seeds 0-4 --alphas 1,0.5,0 --temperatures 1,4",
        "data": "cifar10, 45,000 training, 5,000 validation and 10,000 test images; digest sha256:aa",
        "seeds": "0 to 4",
        "teacher": "alexnet, one for each seed",
        "kdflow": "0.1.0, commit 1a2b3c4 (tree was dirty)",
        "versions": "Python 3.12, torch 2.11, MLflow 3.17",
        "hardware": "2 CPU cores",
        "time": "1 h 40 min",
    }
    links = {row.run_id: f"http://127.0.0.1:5000/#/experiments/1/runs/{row.run_id}" for row in comparison.rows}
    return Provenance(facts, links, is_dirty=True)
