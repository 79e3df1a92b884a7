"""Runs that differ in nothing but the seed, and the teacher that goes with it, as one arm: mean and deviation."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kdflow.common.errors import UsageError

if TYPE_CHECKING:
    from pandas import DataFrame

    from kdflow.analysis.comparison import Row

MOST_NAMED = 30
"""Arms that an error names."""

ARM = ("role", "model", "alpha", "distiller", "temperature", "settings", "epochs")
"""What the runs of an arm have in common."""
SINGLE = ("run_id", "seed", "parameters")
"""Columns of the table of runs that are neither that nor measured."""


def numbered(runs: "DataFrame") -> list[int]:
    """Returns the number of each run's arm; where no arm has several seeds, each run is an arm by itself.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
    """
    numbers: dict[tuple[object, ...], int] = {}
    keys = list(runs[list(ARM)].itertuples(index=False, name=None))
    found = [numbers.setdefault(key, len(numbers)) for key in keys]
    several_seeds = len(set(zip(found, runs["seed"], strict=True))) > len(numbers)
    return found if several_seeds else list(range(len(keys)))


def arm_named(arms: "Sequence[Sequence[Row]]", name: str) -> int:
    """Returns the line of the arm that a name means, whatever its spaces and commas.

    Args:
        arms: The runs of each.
        name: Such as "alpha=0.5 T=4".

    Raises:
        UsageError: it means none, or several.
    """
    labels = [rows[0].label for rows in arms]
    meant = [line for line, label in enumerate(labels) if _spelled(label) == _spelled(name)]
    if len(meant) != 1:
        why = "several arms are called so" if meant else "there is no such arm"
        raise UsageError(f"--baseline {name!r}: {why}; choose one of {'; '.join(dict.fromkeys(labels[:MOST_NAMED]))}")
    return meant[0]


def _spelled(name: str) -> str:
    return re.sub(r"[\s,]", "", name).lower()


def arms(runs: "DataFrame", baselines: Mapping[str, str]) -> "DataFrame":
    """Returns one line an arm, in the order of its first run.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
        baselines: See there.

    Returns:
        The columns of `ARM`, `parameters`, `seeds` (how many), and of all that is measured the mean over seeds and the
        sample deviation, such as `test_accuracy_mean` and `test_accuracy_std`; `difference` is the test accuracy minus
        that of the alpha = 1 student of the same seed and recipe, over so many `pairs`. What does not apply is None,
        as is the deviation of one.
    """
    measured = [name for name in runs.columns if name not in (*ARM, *SINGLE)]
    test = dict(zip(runs["run_id"], runs["test_accuracy"].astype(float), strict=True))
    values = runs[measured].astype(float)
    values["difference"] = [test[one] - test.get(baselines.get(one, ""), float("nan")) for one in runs["run_id"]]
    by_arm = values.groupby(number := numbered(runs), sort=False)
    lines = runs[[*ARM, "parameters"]].groupby(number, sort=False).head(1).reset_index(drop=True)
    lines["seeds"] = list(runs["seed"].groupby(number, sort=False).nunique())
    mean, deviation, count = by_arm.mean(), by_arm.std(ddof=1), by_arm.count()
    for name in values.columns:
        lines[f"{name}_mean"], lines[f"{name}_std"] = list(mean[name]), list(deviation[name])
    lines["pairs"] = list(count["difference"])
    whole = lines.astype(object)
    return whole.where(whole.notna(), None)
