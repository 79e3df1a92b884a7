"""What is measured of the predictions of a run, each measure said once: fidelity to its teacher, and calibration.

All of it is of the test images, and is computed from kept predictions, never from a model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from pandas import DataFrame

from kdflow.analysis import calibration, fidelity
from kdflow.analysis.arms import numbered
from kdflow.analysis.calibration import equal_mass
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.seen import Confidence, Seen, seen
from kdflow.common.registry import Registry
from kdflow.evaluation.metrics import FRACTION, NATS
from kdflow.evaluation.predictions import Predictions


@dataclass(frozen=True)
class Measure:
    """A measure.

    Attributes:
        name: Of its column.
        heading: In words, for tables and figures.
        unit: "fraction" (shown in percent), "nats", or empty.
        better: "up", "down", or empty where neither is.
        compute: Of one run; None where it does not apply.
    """

    name: str
    heading: str
    unit: str
    better: str
    compute: Callable[[Seen], float | None]


MEASURES: Registry[Measure] = Registry("measure")


def declare(measure: Measure) -> Measure:
    """Enters a measure, for all that tabulate or show what was measured.

    Raises:
        ValueError: there is one of that name.
    """
    return MEASURES.register(measure.name)(measure)


def measures(comparison: Comparison, predictions: Mapping[str, Predictions]) -> DataFrame:
    """Returns one line a run: run_id, and all that is measured; None where it does not apply.

    Args:
        comparison: The runs.
        predictions: By run id; a run of which none were kept has a line of None.
    """
    known = {
        run_id: [MEASURES[name].compute(one) for name in MEASURES] for run_id, one in seen(comparison, predictions)
    }
    nothing = [None for _ in MEASURES]
    lines = [[run_id, *known.get(run_id, nothing)] for run_id in comparison.runs["run_id"]]
    return DataFrame(lines, columns=["run_id", *MEASURES], dtype=object)


def arm_measures(comparison: Comparison, measured: DataFrame) -> DataFrame:
    """Returns one line an arm: arm, and of each measure the mean over its runs and the sample deviation.

    Args:
        comparison: The runs.
        measured: One line a run: run_id, and columns of numbers or None, such as those of `measures`.

    Returns:
        The columns `arm`, `<name>_mean` and `<name>_std`. What does not apply is None, as is the deviation of one.
    """
    of_run = measured.set_index("run_id").reindex(comparison.runs["run_id"]).astype(float)
    by_arm = of_run.groupby(numbered(comparison.runs))
    mean, deviation = by_arm.mean(), by_arm.std(ddof=1)
    columns = {f"{name}_{what}": of[name] for name in of_run for what, of in (("mean", mean), ("std", deviation))}
    whole = DataFrame({"arm": mean.index, **columns}, index=mean.index).astype(object)
    return whole.where(whole.notna(), None)


def seed_agreement(
    comparison: Comparison, predictions: Mapping[str, Predictions], *, of: str = "student"
) -> float | None:
    """How far models that differ in nothing but the seed agree: the mean over all pairs of an arm.

    Without it agreement with a teacher means little: models of the same accuracy agree anyhow.

    Args:
        comparison: The runs.
        predictions: By run id.
        of: "student" for those of alpha = 1, or "teacher".

    Returns:
        A fraction; None where there are no two.
    """
    alpha = None if of == "teacher" else 1.0
    arms: dict[int, list[Seen]] = {}
    known = dict(seen(comparison, predictions))
    for arm, row in zip(numbered(comparison.runs), comparison.rows, strict=True):
        if (row.role, row.alpha) == (of, alpha) and row.run_id in known:
            arms.setdefault(arm, []).append(known[row.run_id])
    pairs = [pair for runs in arms.values() for pair in combinations(runs, 2)]
    found = [fidelity.agreement(one.answers, other.answers) for one, other in pairs if one.is_alike(other)]
    return float(np.mean(found)) if found else None


def _with_teacher(compute: Callable[[Seen, Seen], float | None]) -> Callable[[Seen], float | None]:
    return lambda one: None if one.teacher is None else compute(one, one.teacher)


def _scaled(compute: Callable[[Confidence], float]) -> Callable[[Seen], float | None]:
    return lambda one: None if one.scaled is None else compute(one.scaled)


def _raw(compute: Callable[[Confidence], float]) -> Callable[[Seen], float | None]:
    return lambda one: compute(one.raw)


def _nll(one: Confidence) -> float:
    return calibration.nll(one.log_probs, one.labels)


def _brier(one: Confidence) -> float:
    return calibration.brier(one.log_probs, one.labels)


def _ece_width(one: Confidence) -> float:
    return calibration.ece(one.confidence, one.correct, one.numbers)


def _ece_mass(one: Confidence) -> float:
    return calibration.ece(one.confidence, one.correct, equal_mass(one.confidence))


_AGREEMENT = _with_teacher(lambda one, it: fidelity.agreement(one.answers, it.answers))
_KL = _with_teacher(lambda one, it: fidelity.teacher_kl(one.raw.log_probs, it.raw.log_probs))
_RIGHT = _with_teacher(lambda one, it: fidelity.accuracy_where(it.raw.correct, one.answers, one.labels))
_WRONG = _with_teacher(lambda one, it: fidelity.accuracy_where(~it.raw.correct, one.answers, one.labels))
_SHARED = _with_teacher(lambda one, it: fidelity.errors_shared(one.answers, it.answers, one.labels))
_SCORES = (
    ("nll", "negative log-likelihood", NATS, _nll),
    ("brier", "Brier score", "", _brier),
    ("ece_width", "calibration error, bins of equal width", FRACTION, _ece_width),
    ("ece_mass", "calibration error, bins of equal mass", FRACTION, _ece_mass),
)
for _measure in (
    Measure("teacher_agreement", "agreement with the teacher", FRACTION, "up", _AGREEMENT),
    Measure("teacher_kl", "divergence from the teacher", NATS, "down", _KL),
    Measure("accuracy_where_teacher_right", "accuracy where the teacher is right", FRACTION, "up", _RIGHT),
    Measure("accuracy_where_teacher_wrong", "accuracy where the teacher is wrong", FRACTION, "up", _WRONG),
    Measure("errors_shared", "share of the teacher's errors that it makes too", FRACTION, "", _SHARED),
    *(Measure(name, heading, unit, "down", _raw(compute)) for name, heading, unit, compute in _SCORES),
    Measure("ece_low", "calibration error, lower end of 95 %", FRACTION, "", lambda one: one.raw.ece_interval[0]),
    Measure("ece_high", "calibration error, upper end of 95 %", FRACTION, "", lambda one: one.raw.ece_interval[1]),
    Measure("temperature", "temperature that fits validation images best", "", "", lambda one: one.temperature),
    *(
        Measure(f"{name}_scaled", f"{heading}, temperature-scaled", unit, "down", _scaled(compute))
        for name, heading, unit, compute in _SCORES
    ),
):
    declare(_measure)
