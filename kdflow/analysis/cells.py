"""The tables of a comparison as columns of short texts, the same in the terminal, in Markdown and in HTML."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kdflow.analysis.effect import Effect, verdict_words

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NOTHING = "-"  # a cell that does not apply, such as the alpha of the teacher
BASELINE = "minus alpha = 1"
NAMES = ("run", "model", "distiller", "settings", "verdict")  # columns of words; all others hold numbers


def columns(runs: "DataFrame") -> dict[str, list[str]]:
    """Returns heading to cells, one cell a run. Columns that would say nothing are left out.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
    """
    seeds = list(map(str, runs["seed"]))
    measured = {**_metrics(runs), "gap": _measured(runs, "gap", _signed)}
    return _columns(runs, measured, {"seed": seeds} if len(set(seeds)) > 1 else {})


def arm_columns(arms: "DataFrame", effects: Sequence[Effect] = ()) -> dict[str, list[str]]:
    """Returns the same with one cell an arm: mean and deviation over its seeds, such as "73.56 (0.35)".

    Args:
        arms: See `kdflow.analysis.arms.arms`.
        effects: Of these arms. Where there are any, gain, interval and verdict stand for the bare difference.
    """
    difference = {BASELINE: _measured(arms, "difference", _signed)}
    measured = {
        **_metrics(arms),
        **(effect_columns(len(arms), effects) if effects else difference),
        "gap": _measured(arms, "gap", _signed),
    }
    counts = {"seeds": list(map(str, arms["seeds"]))}
    if _are_unequal(arms):
        counts["pairs"] = [str(pairs or NOTHING) for pairs in arms["pairs"]]
    return _columns(arms, measured, counts)


def effect_columns(arms: int, effects: Sequence[Effect]) -> dict[str, list[str]]:
    """Returns gain, interval and verdict of each arm, in percentage points.

    Args:
        arms: How many there are.
        effects: Of some of them.
    """
    by_arm = {effect.arm: effect for effect in effects}
    found = [by_arm.get(arm) for arm in range(arms)]
    return {
        "gain": [_signed(effect.mean) if effect else NOTHING for effect in found],
        "interval": [interval_words(effect.interval) if effect else NOTHING for effect in found],
        "verdict": [verdict_words(effect) if effect else NOTHING for effect in found],
    }


def interval_words(interval: tuple[float, float] | None) -> str:
    """Returns an interval of fractions in percentage points, such as "+1.20 to +2.60"; no bound loses its sign."""
    return NOTHING if interval is None else " to ".join(map(_bound, interval))


def arm_notes(arms: "DataFrame", effects: Sequence[Effect] = ()) -> list[str]:
    """Returns what the numbers of arms are.

    Args:
        arms: See `kdflow.analysis.arms.arms`.
        effects: As shown in the same table.
    """
    has_seeds = bool((arms["seeds"] > 1).any())
    sentences = ["Means over seeds, the standard deviation in brackets."] if has_seeds else []
    if effects:
        alphas = {arms["alpha"].iloc[effect.baseline] for effect in effects}
        other = "alpha = 1" if alphas == {1.0} else "the arm that it is compared with"
        sentences.append(f'"gain" is the difference in test accuracy to {other}, seed by seed, in percentage points.')
    elif arms["pairs"].any():
        difference = "the difference in test accuracy to the alpha = 1 student of the same seed"
        sentences.append(f'"{BASELINE}" is {difference}, in percentage points.')
    if _are_unequal(arms):
        sentences.append("Where seeds are unequal, only pairs of the same seed count for that.")
    return sentences


def notes(runs: "DataFrame", validation: str) -> list[str]:
    """Returns what the numbers are, what all runs have in common, and how validation images differ from test images.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
        validation: What was done to validation images; empty if nothing was.
    """
    common = [f"distiller {name}" for name in set(runs["distiller"]) - {None}]
    common = common if len(common) == 1 else []
    if len(seeds := set(runs["seed"])) == 1:
        common.append(f"seed {seeds.pop()}")
    parts = ["Accuracies in %"]
    if any(gap is not None for gap in runs["gap"]):
        parts.append("gap to the teacher's test accuracy in percentage points")
    sentences = ["; ".join((*parts, *common)) + "."]
    if validation:
        sentences.append(validation_note(validation))
    return sentences


def validation_note(drawn: str) -> str:
    """Returns why accuracies of validation and test images are not alike.

    Args:
        drawn: What was done to validation images, such as "cropped and mirrored".
    """
    return f"Validation images are {drawn} once, as the study asks; test images are not."


def percent(fraction: float) -> str:
    """Returns a fraction as a number of percent."""
    return f"{100 * fraction:.2f}"


def _columns(lines: "DataFrame", measured: dict[str, list[str]], counts: dict[str, list[str]]) -> dict[str, list[str]]:
    """What runs and arms have in common, around what is measured of them, without columns that would say nothing."""
    every = {
        "run": list(lines["role"]),
        "model": list(lines["model"]),
        "alpha": [_number(alpha) for alpha in lines["alpha"]],
        "distiller": [distiller or NOTHING for distiller in lines["distiller"]],
        "T": [_number(temperature) for temperature in lines["temperature"]],
        **measured,
        "parameters": _parameters(lines),
        "epochs": [str(epochs) for epochs in lines["epochs"]],
        **counts,
        "settings": [settings or NOTHING for settings in lines["settings"]],
    }
    may_be_idle = ("alpha", "T", BASELINE, "gain", "interval", "verdict", "gap", "settings")
    idle = {name for name in may_be_idle if set(every.get(name, [])) <= {NOTHING}}
    if len(set(every["distiller"]) - {NOTHING}) < 2:
        idle.add("distiller")
    return {heading: cells for heading, cells in every.items() if heading not in idle}


def _metrics(lines: "DataFrame") -> dict[str, list[str]]:
    """The final metrics that ask for a column, as declared."""
    from kdflow.evaluation.metrics import FRACTION, columns, metrics

    writers = {name: percent if metrics[name].unit == FRACTION else "{:.4g}".format for name in columns()}
    return {
        heading: _measured(lines, name.removeprefix("final/"), writers[name]) for name, heading in columns().items()
    }


def _measured(lines: "DataFrame", name: str, write: Callable[[float], str]) -> list[str]:
    """What was measured of runs, or of arms the mean over seeds and, of several, the deviation."""
    nothing = [None] * len(lines)
    values = lines.get(f"{name}_mean", lines.get(name, nothing))
    deviations = lines.get(f"{name}_std", nothing)
    return [
        NOTHING if value is None else write(value) + ("" if spread is None else f" ({write(spread).lstrip('+')})")
        for value, spread in zip(values, deviations, strict=True)
    ]


def _signed(fraction: float) -> str:
    """A fraction as a number of percentage points, never as a negative zero."""
    return f"{100 * fraction:+z.2f}"


def _bound(fraction: float) -> str:
    """A bound of an interval with as many digits as it takes to tell on which side of zero it lies."""
    points = 100 * fraction
    digits = next((digits for digits in range(2, 7) if round(points, digits)), 2)
    return f"{points:+z.{digits}f}"


def _are_unequal(arms: "DataFrame") -> bool:
    """Whether the difference to alpha = 1 is over other seeds than the means beside it."""
    students = arms[arms["role"] == "student"]
    distilled = students[students["alpha"] < 1]
    pairs = distilled["pairs"]
    return bool(pairs.any() and (students["seeds"].nunique() > 1 or (pairs < distilled["seeds"]).any()))


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def _parameters(runs: "DataFrame") -> list[str]:
    of_teacher: Series[int] = runs.loc[runs["role"] == "teacher", "parameters"]
    if of_teacher.empty:
        return [f"{count:,}" for count in runs["parameters"]]
    whole = of_teacher.iloc[0]
    pairs = zip(runs["role"], runs["parameters"], strict=True)
    return [f"{count:,}" if role == "teacher" else f"{count:,} ({100 * count / whole:.1f} %)" for role, count in pairs]
