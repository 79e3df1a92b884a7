"""The tables of an answer as heading to cells, for the page and for Markdown. What is not known gives no table."""

import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from typing import TYPE_CHECKING

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import NOTHING, columns, effect_columns, interval_words, percent
from kdflow.reports.lettering import arm_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Columns = dict[str, list[str]]
"""Heading to cells, one cell a line; empty where nothing is known."""

Write = Callable[[float], str]
PLAIN: Write = "{:.3f}".format
FIDELITY: dict[str, tuple[str, Write]] = {
    "teacher_agreement": ("agreement", percent),
    "teacher_kl": ("KL divergence", PLAIN),
    "accuracy_where_teacher_right": ("where it is right", percent),
    "accuracy_where_teacher_wrong": ("where it is wrong", percent),
    "errors_shared": ("errors shared", percent),
}
CALIBRATION: dict[str, tuple[str, Write]] = {
    "nll": ("NLL", PLAIN),
    "brier": ("Brier", PLAIN),
    "ece_width": ("ECE", PLAIN),
    "ece_mass": ("ECE, equal mass", PLAIN),
}
COST: dict[str, tuple[str, Write]] = {
    "forward_flops": ("MFLOPs", lambda value: f"{value / 1e6:,.1f}"),
    "bytes": ("kB", lambda value: f"{value / 1e3:,.0f}"),
    "latency_ms": ("latency, ms", "{:.3g}".format),
    "latency_to_teacher": ("latency, teacher = 1", "{:.2f}".format),
    "batch_images_per_second": ("images/s", "{:,.0f}".format),
    "throughput_to_teacher": ("throughput, teacher = 1", "{:.2f}".format),
}
MOST_CLASSES, MOST_PAIRS, MOST_RUNS = 30, 20, 500
LEAST = 0.001
"""Of p-values, as they are shown."""


def headline(answer: Answer) -> Columns:
    """Returns accuracies, and where there are effects gain, interval and verdict; a line an arm."""
    arms = answer.comparison.arms
    shown = {
        "arm": arm_names(answer.comparison),
        "seeds": list(map(str, arms["seeds"])),
        "val": _with_spread(arms["val_accuracy_mean"], arms["val_accuracy_std"], percent),
        "test": _with_spread(arms["test_accuracy_mean"], arms["test_accuracy_std"], percent),
    }
    if not answer.comparison.has_seeds:
        del shown["seeds"]
    shown |= effect_columns(len(arms), answer.effects) if answer.effects else {}
    return {heading: cells for heading, cells in shown.items() if set(cells) != {NOTHING}}


def gains(answer: Answer) -> Columns:
    """Returns all that is known of what each arm gains, in percentage points; a line an effect that has an interval."""
    names = arm_names(answer.comparison)
    known = [effect for effect in answer.effects if effect.interval is not None]
    if not known:
        return {}
    return {
        "arm": [names[effect.arm] for effect in known],
        "pairs": [str(len(effect.seeds)) for effect in known],
        "gain": [f"{100 * effect.mean:+z.2f}" for effect in known],
        "deviation": [NOTHING if effect.deviation is None else percent(effect.deviation) for effect in known],
        "new seeds and images": [interval_words(effect.interval) for effect in known],
        "these images": [interval_words(effect.block_interval) for effect in known],
        "level": [f"{100 * effect.level:.3g} %" for effect in known],
        "p": [_probability(effect.p_value) for effect in known],
        "a new seed wins": [NOTHING if effect.wins is None else f"{100 * effect.wins:.0f} %" for effect in known],
    }


def fidelity(answer: Answer) -> Columns:
    """Returns how near students come to their teachers; a line an arm of students."""
    return _measured(answer, FIDELITY, only="student")


def calibration(answer: Answer) -> Columns:
    """Returns how far confidences can be believed; a line an arm."""
    found = _measured(answer, CALIBRATION)
    lows, highs = (_arm_measure(answer, f"{name}_mean") for name in ("ece_low", "ece_high"))
    if "ECE" not in found or not any(low is not None for low in lows):
        return found
    ends = [
        NOTHING if low is None or high is None else f"{PLAIN(low)} to {PLAIN(high)}"
        for low, high in zip(lows, highs, strict=True)
    ]
    place = list(found).index("ECE") + 1
    items = list(found.items())
    return dict([*items[:place], ("interval of ECE", ends), *items[place:]])


def scaled_calibration(answer: Answer) -> Columns:
    """Returns the same after temperature scaling, with the temperature."""
    scaled = {f"{name}_scaled": how for name, how in CALIBRATION.items()}
    return _measured(answer, {"temperature": ("temperature", PLAIN), **scaled})


def cost(answer: Answer) -> Columns:
    """Returns what models cost, means over seeds; a line an arm, if anything is known but the number of parameters."""
    arms = answer.comparison.arms
    found = _measured(answer, COST, has_spread=False)
    if not found:
        return {}
    parameters = {"parameters": [f"{count:,}" for count in arms["parameters"]]}
    return (
        {"arm": found.pop("arm"), "test": [percent(mean) for mean in arms["test_accuracy_mean"]]} | parameters | found
    )


def learning(answer: Answer) -> Columns:
    """Returns after how many epochs arms reach validation accuracies: mean, deviation, and how many seeds do."""
    lines, names = answer.learning, arm_names(answer.comparison)
    if not len(lines):
        return {}
    accuracies = sorted(set(lines["accuracy"]))
    cells = {(line.arm, line.accuracy): _reached(line) for line in lines.itertuples()}
    arms = list(dict.fromkeys(lines["arm"]))
    return {
        "arm": [names[arm] for arm in arms],
        **{f"{100 * at:g} %": [cells.get((arm, at), NOTHING) for arm in arms] for at in accuracies},
    }


def class_gains(answer: Answer) -> tuple[Columns, dict[str, list[float | None]], int]:
    """Returns the gain of each arm (columns) in each class (lines), as cells and as numbers, and how many are left out.

    Of many classes those in which the best arm gains and loses most are shown.
    """
    lines, names = answer.class_accuracy, arm_names(answer.comparison)
    lines = lines[lines["gain"].notna()]
    if not len(lines):
        return {}, {}, 0
    gains = dict(zip(zip(lines["arm"], lines["class"], strict=True), map(float, lines["gain"]), strict=True))
    arms, classes = (list(dict.fromkeys(lines[name])) for name in ("arm", "class"))
    first = arm if (arm := best(answer)) in arms else arms[0]
    left_out = max(0, len(classes) - MOST_CLASSES)
    if left_out:
        ranked = sorted(classes, key=lambda name: -(gains.get((first, name)) or 0))
        classes = [*ranked[: MOST_CLASSES // 2], *ranked[-MOST_CLASSES // 2 :]]
    numbers = {names[arm]: [gains.get((arm, name)) for name in classes] for arm in arms}
    cells = {
        name: [NOTHING if gain is None else f"{100 * gain:+z.1f}" for gain in found] for name, found in numbers.items()
    }
    return {"class": list(map(str, classes)), **cells}, numbers, left_out


def confused(shares: "NDArray[np.float64]", classes: list[str]) -> Columns:
    """Returns the pairs of classes that are taken for each other most often.

    Args:
        shares: `[classes, classes]`: lines are labels.
        classes: Their names.
    """
    pairs = [(shares[label, taken], label, taken) for label in range(len(classes)) for taken in range(len(classes))]
    most = sorted((pair for pair in pairs if pair[1] != pair[2]), key=lambda pair: -pair[0])[:MOST_PAIRS]
    return {
        "class": [classes[label] for _, label, _ in most],
        "taken for": [classes[taken] for _, _, taken in most],
        "share in %": [f"{100 * share:.1f}" for share, _, _ in most],
    }


def every_run(answer: Answer) -> Columns:
    """Returns the table of single runs, of very many the first."""
    return columns(answer.comparison.runs[:MOST_RUNS])


def best(answer: Answer) -> int | None:
    """Returns the line of the arm that is best on validation images: of those with an effect, or of all students."""
    arms = answer.comparison.arms
    students = [line for line, role in enumerate(arms["role"]) if role == "student"]
    among = [effect.arm for effect in answer.effects] or students
    return max(among, key=lambda arm: arms["val_accuracy_mean"].iloc[arm], default=None)


def _measured(
    answer: Answer, measures: Mapping[str, tuple[str, Write]], *, only: str = "", has_spread: bool = True
) -> Columns:
    arms = answer.comparison.arms
    shown = [line for line, role in enumerate(arms["role"]) if role == only or not only]
    found = {}
    for name, (heading, write) in measures.items():
        means, spreads = _arm_measure(answer, f"{name}_mean"), _arm_measure(answer, f"{name}_std")
        cells = _with_spread(means, spreads if has_spread else [None] * len(means), write)
        found[heading] = [cells[line] for line in shown]
    found = {heading: cells for heading, cells in found.items() if set(cells) - {NOTHING}}
    names = arm_names(answer.comparison)
    return {"arm": [names[line] for line in shown], **found} if found else {}


def _arm_measure(answer: Answer, name: str) -> list[float | None]:
    lines = answer.arm_measures
    known = dict(zip(lines["arm"], lines[name], strict=True)) if name in lines.columns else {}
    return [_number(known.get(arm)) for arm in range(len(answer.comparison.arms))]


def _with_spread(means: Iterable[float | None], spreads: Iterable[float | None], write: Write) -> list[str]:
    return [
        NOTHING if mean is None else write(mean) + ("" if spread is None else f" ({write(spread)})")
        for mean, spread in zip(means, spreads, strict=True)
    ]


def _probability(p_value: float | None) -> str:
    if p_value is None:
        return NOTHING
    return f"{p_value:.3f}" if p_value >= LEAST else f"< {LEAST}"


def _reached(line: object) -> str:
    mean, spread = _number(line.epochs_mean), _number(line.epochs_std)  # type: ignore[attr-defined]
    reached, runs = int(line.reached), int(line.runs)  # type: ignore[attr-defined]
    if not reached or mean is None:
        return "never"
    told = f"{mean:.1f}" + ("" if spread is None else f" ({spread:.1f})")
    return told if reached == runs else f"{told}, {reached} of {runs}"


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, Real) and math.isfinite(value) else None
