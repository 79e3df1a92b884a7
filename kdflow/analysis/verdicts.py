"""The words for effects: the answer in one sentence, each verdict in a few words, and what all of it rests on."""

from collections import Counter
from collections.abc import Iterable, Sequence

from kdflow.analysis.comparison import Comparison, Row
from kdflow.analysis.effect import EQUIVALENT, GAIN, LOSS, ONE_PAIR, UNDECIDED, Effect, more_seeds
from kdflow.analysis.effects import BY_ACCURACY
from kdflow.analysis.intervals import ALPHA, ROUNDING

NO_PAIRS = "No student can be compared: none has a partner with the same seed and recipe."


def sentence(comparison: Comparison, effects: Sequence[Effect], margin: float) -> str:
    """Returns the answer in one sentence: of the arm with the best validation accuracy, what it is on test images.

    Args:
        comparison: The runs.
        effects: Of its arms.
        margin: Differences within it count as none, a fraction.
    """
    if not effects:
        return NO_PAIRS
    validation = list(comparison.arms["val_accuracy_mean"])
    effect = max(effects, key=lambda effect: validation[effect.arm])
    who, other = _who(comparison, effect), _other(comparison, effect)
    mean, *bounds = written((effect.mean, *(effect.interval or ())), margin)
    size, seeds = mean.lstrip("+-"), _seeds(comparison, effect)
    if effect.verdict == ONE_PAIR:
        said = _of_one_pair(effect, who, other, size)
    elif effect.interval is None:
        said = f"whether {who} gains over {other} is undecided: {mean} points of test accuracy in each of {seeds}"
    else:
        over = "new seeds" if effect.method.startswith(BY_ACCURACY) else "new seeds and new images"
        sure = f"({percent(effect.level)} interval {' to '.join(bounds)} over {over}, {seeds})"
        within = f"{100 * margin:g} points of test accuracy: {mean}"
        said = {
            GAIN: f"{who} gains {size} points of test accuracy over {other} {sure}",
            LOSS: f"{who} loses {size} points of test accuracy against {other} {sure}",
            EQUIVALENT: f"{who} is as accurate as {other} within {within} {sure}",
            UNDECIDED: f"whether {who} gains over {other} is undecided: {mean} points of test accuracy {sure}; "
            f"{more_seeds(effect)}",
        }[effect.verdict]
    return f"{said[0].upper()}{said[1:]}."


def notes(comparison: Comparison, effects: Sequence[Effect], margin: float) -> tuple[str, ...]:
    """Returns sentences on what the effects rest on.

    Args:
        comparison: The runs.
        effects: Of its arms.
        margin: Differences within it count as none, a fraction.
    """
    if not effects:
        return ()
    several = [effect for effect in effects if effect.verdict != ONE_PAIR]
    single = [effect for effect in effects if effect.verdict == ONE_PAIR]
    found = [*_on_teachers(comparison), *_on_pairs(effects)]
    if several:
        found += _on_method(comparison, several)
        found.append(f"Differences within {100 * margin:g} points, the margin, count as none.")
        found.append(
            'That "a new seed wins" is for two new runs, each with a seed of its own; it takes accuracies as normal.'
        )
    tested = [effect for effect in single if effect.p_value is not None]
    if tested:
        adjusted = f", and is adjusted by Holm over {len(tested)} arms" * (len(tested) > 1)
        found.append(
            f"Of one seed, McNemar's exact test is on these two trained models; it says nothing about alpha{adjusted}."
        )
    if len(tested) < len(single):
        found.append("Runs without kept predictions are compared by accuracy alone, which of one seed tests nothing.")
    return tuple(found)


def written(values: Iterable[float], margin: float) -> list[str]:
    """Returns differences in points, signed, with as few decimals as keep each on its side of 0, and within the margin.

    Args:
        values: Fractions.
        margin: A fraction.
    """
    points, limit = [100 * value for value in values], 100 * margin

    def keeps(one: float, decimals: int) -> bool:
        shown = round(one, decimals)
        return _sign(shown) == _sign(one) and (abs(shown) < limit or abs(one) >= limit)

    decimals = next((some for some in range(1, 6) if all(keeps(one, some) for one in points)), 6)
    return [f"{one:+z.{decimals}f}" for one in points]


def percent(level: float) -> str:
    """Returns a level of confidence, such as "95 %" or "98.8 %"."""
    return f"{100 * level:.3g} %"


def _sign(points: float) -> int:
    return (points > ROUNDING) - (points < -ROUNDING)


def _of_one_pair(effect: Effect, who: str, other: str, size: str) -> str:
    compared = (
        f"{size} points {'more' if effect.mean > 0 else 'less'} test accuracy than"
        if effect.mean
        else "the test accuracy of"
    )
    nothing = "one seed says nothing about alpha"
    if effect.p_value is None:
        return f"{who} has {compared} {other}, but {nothing}"
    differ = "more than chance explains" if effect.p_value <= ALPHA else "which chance alone may explain"
    p_value = f"p = {effect.p_value:.2g}" if effect.p_value >= 0.001 else "p < 0.001"
    test = f"between these two models (McNemar's exact test, {p_value})"
    return f"{who} has {compared} {other}, {differ} {test}, but {nothing}"


def _who(comparison: Comparison, effect: Effect) -> str:
    row = _row(comparison, effect.arm)
    teachers = " or ".join(sorted({one.model for one in comparison.rows if one.role == "teacher"}))
    if row.alpha == 1:
        return f"a {row.model} student of labels alone ({row.label})"
    return f"a {row.model} student that learns from its {f'{teachers} teacher'.lstrip()} ({row.label})"


def _other(comparison: Comparison, effect: Effect) -> str:
    ours, theirs = _row(comparison, effect.arm), _row(comparison, effect.baseline)
    label = "alpha = 1" if theirs.alpha == 1 and theirs.settings == ours.settings else theirs.label
    if theirs.role == "teacher":
        return f"the {theirs.model} teacher"
    return label if ours.model == theirs.model else f"{theirs.model} ({label})"


def _row(comparison: Comparison, arm: int) -> Row:
    return comparison.rows_by_arm[arm][0]


def _seeds(comparison: Comparison, effect: Effect) -> str:
    taught = _teacher_seeds(comparison)
    count = len(effect.seeds)
    if len(taught) == 1:
        return f"{count} seeds of one teacher"
    if set(effect.seeds) <= set(taught):
        return f"{count} seeds, a teacher for each"
    return f"{count} seeds" + f", {len(taught)} teachers" * bool(taught)


def _teacher_seeds(comparison: Comparison) -> list[int]:
    return [row.seed for row in comparison.rows if row.role == "teacher"]


def _on_teachers(comparison: Comparison) -> list[str]:
    taught = _teacher_seeds(comparison)
    seeds = {row.seed for row in comparison.rows if row.role == "student"}
    if not taught or len(seeds) < 2:
        return []
    if len(taught) == 1:
        return ["There is one teacher: what is said holds for students of this teacher."]
    if seeds <= set(taught):
        return ["Each seed has a teacher of its own: what is said is about the procedure, its teacher included."]
    return [
        f"There are {len(taught)} teachers for {len(seeds)} seeds: what is said holds for students of these teachers."
    ]


def _on_pairs(effects: Sequence[Effect]) -> list[str]:
    pairs = Counter(len(effect.seeds) for effect in effects)
    unpaired = max(effect.unpaired for effect in effects)
    counts = f"{min(pairs)}" if len(pairs) == 1 else f"{min(pairs)} to {max(pairs)}"
    lead = f"Differences are between runs of the same seed: {counts} pair{'s' * (max(pairs) > 1)} an arm"
    return [f"{lead}; up to {unpaired} runs have no partner, and do not count." if unpaired else f"{lead}."]


def _on_method(comparison: Comparison, effects: Sequence[Effect]) -> list[str]:
    arms: dict[str, list[Effect]] = {}
    for effect in effects:
        arms.setdefault(effect.method, []).append(effect)
    found = []
    for method, alike in arms.items():
        of = "" if len(arms) == 1 else f" of {'; '.join(_row(comparison, effect.arm).label for effect in alike)}"
        found.append(f"Interval{of}: {method}.")
    if by_accuracy := sum(effect.method.startswith(BY_ACCURACY) for effect in effects):
        found.append(
            f"{by_accuracy} arm{'s are' if by_accuracy > 1 else ' is'} compared by accuracy alone, as not all runs "
            "have predictions of the same test images: intervals are over new seeds on these images."
        )
    if len(effects) > 1:
        found.append(
            f"Holm over {len(effects)} arms: with a probability of at most 5 % there is a false gain or loss among "
            "them, and likewise a false equivalence; each interval is at the level that this leaves its arm."
        )
    return found
