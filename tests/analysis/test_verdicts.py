"""The words: one sentence for each verdict, which no rounding contradicts, and what it rests on."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effect import EQUIVALENT, GAIN, LOSS, ONE_PAIR, UNDECIDED, Effect, verdict_words
from kdflow.analysis.effects import effects
from kdflow.analysis.verdicts import NO_PAIRS, notes, percent, sentence, written
from tests.analysis.studies import arms_of, study

MARGIN = 0.005
EFFECT = Effect(
    arm=1,
    baseline=0,
    seeds=(0, 1, 2, 3, 4),
    unpaired=0,
    differences=(0.019,) * 5,
    mean=0.019,
    deviation=0.004,
    interval=(0.012, 0.026),
    block_interval=(0.013, 0.025),
    level=0.95,
    p_value=0.001,
    wins=0.97,
    verdict=GAIN,
    seeds_needed=None,
    method="over new seeds and new images (two-way), with the spread over seeds pooled over 3 arms",
)
STUDIES = {
    teachers: study(arms_of(0.70, 0.72, 0.71, images=50), teachers=range(teachers), validation=(0.7, 0.8, 0.75))[0]
    for teachers in (0, 1, 3, 5)
}


def said(*, teachers: int = 5, **facts: Any) -> str:
    """Where there are teachers, their arm is the first."""
    effect = replace(EFFECT, **facts)
    first = bool(teachers)
    shifted = replace(effect, arm=effect.arm + first, baseline=effect.baseline + first)
    return sentence(STUDIES[teachers], [shifted], MARGIN)


def test_a_gain() -> None:
    assert said() == (
        "A small-cnn student that learns from its alexnet teacher (alpha = 0.5, T = 1) gains 1.9 points of "
        "test accuracy over alpha = 1 (95 % interval +1.2 to +2.6 over new seeds and new images, 5 seeds, a teacher "
        "for each)."
    )


def test_a_loss() -> None:
    assert (
        "(alpha = 0.5, T = 1) loses 1.9 points of test accuracy against alpha = 1 (95 % interval -2.6 to -1.2"
        in said(verdict=LOSS, mean=-0.019, interval=(-0.026, -0.012))
    )


def test_equivalence() -> None:
    assert "is as accurate as alpha = 1 within 0.5 points of test accuracy: +0.1 (97.5 % interval -0.2 to +0.4" in said(
        verdict=EQUIVALENT, mean=0.001, interval=(-0.002, 0.004), level=0.975
    )


def test_undecided_says_how_many_seeds_would_probably_decide() -> None:
    undecided = {"verdict": UNDECIDED, "mean": 0.004, "interval": (-0.003, 0.011)}
    text = said(**undecided, seeds_needed=9)
    assert text.startswith(
        "Whether a small-cnn student that learns from its alexnet teacher (alpha = 0.5, T = 1) gains"
    )
    assert "over alpha = 1 is undecided: +0.4 points of test accuracy (95 % interval -0.3 to +1.1" in text
    assert text.endswith("; about 9 seeds would probably decide.")
    assert said(**undecided).endswith("; more seeds alone would hardly decide.")


def test_without_spread_there_is_no_interval_to_speak_of() -> None:
    text = said(verdict=UNDECIDED, interval=None, p_value=None)
    assert text.endswith("is undecided: +1.9 points of test accuracy in each of 5 seeds, a teacher for each.")


@pytest.mark.parametrize(
    ("p_value", "what"),
    [
        (0.0123, "more than chance explains between these two models (McNemar's exact test, p = 0.012)"),
        (0.0, "more than chance explains between these two models (McNemar's exact test, p < 0.001)"),
        (0.4, "which chance alone may explain between these two models (McNemar's exact test, p = 0.4)"),
    ],
)
def test_of_one_seed_two_models_differ_and_alpha_is_not_spoken_of(p_value: float, what: str) -> None:
    text = said(verdict=ONE_PAIR, seeds=(0,), interval=None, p_value=p_value)
    assert f"has 1.9 points more test accuracy than alpha = 1, {what}" in text
    assert text.endswith(", but one seed says nothing about alpha.")


def test_of_one_seed_without_predictions_there_is_no_test() -> None:
    text = said(verdict=ONE_PAIR, seeds=(0,), interval=None, p_value=None, mean=-0.019)
    assert text.endswith("has 1.9 points less test accuracy than alpha = 1, but one seed says nothing about alpha.")


@pytest.mark.parametrize(
    ("teachers", "seeds"),
    [(0, "5 seeds)"), (1, "5 seeds of one teacher)"), (3, "5 seeds, 3 teachers)"), (5, "5 seeds, a teacher for each)")],
)
def test_it_says_whose_students_they_are(teachers: int, seeds: str) -> None:
    assert seeds in said(teachers=teachers)


def test_the_arm_is_chosen_by_validation_and_not_by_test_accuracy() -> None:
    better = replace(EFFECT, arm=2, mean=0.05, interval=(0.04, 0.06))
    comparison = STUDIES[0]
    assert "T = 1" in sentence(comparison, [EFFECT, better], MARGIN)


def test_another_baseline_is_named() -> None:
    assert "over alpha = 0.5, T = 2 (" in said(teachers=0, baseline=2)


def test_students_of_labels_alone_have_no_teacher() -> None:
    assert said(teachers=0, arm=0, baseline=1).startswith("A small-cnn student of labels alone (alpha = 1) gains")


def test_without_pairs_there_is_nothing_to_say() -> None:
    assert sentence(STUDIES[0], [], MARGIN) == NO_PAIRS
    assert notes(STUDIES[0], [], MARGIN) == ()


def test_accuracy_alone_speaks_of_new_seeds_only() -> None:
    assert "to +2.6 over new seeds, 5 seeds" in said(method="over new seeds, by accuracy alone, with the spread")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ((0.019, 0.012, 0.026), ["+1.9", "+1.2", "+2.6"]),
        ((0.019, 0.0003, 0.026), ["+1.90", "+0.03", "+2.60"]),  # a gain is not "+0.0 to"
        ((0.001, -0.00004, 0.0212), ["+0.100", "-0.004", "+2.120"]),  # nor is what holds 0
        ((0.001, -0.0004, 0.0049), ["+0.10", "-0.04", "+0.49"]),  # within the margin is not "+0.5"
        ((0.0, -0.002, 0.002), ["+0.0", "-0.2", "+0.2"]),
        ((-1e-12, 0.0), ["+0.0", "+0.0"]),
    ],
)
def test_rounding_contradicts_no_verdict(values: Sequence[float], text: list[str]) -> None:
    assert written(values, MARGIN) == text


@pytest.mark.parametrize(("level", "text"), [(0.95, "95 %"), (0.9875, "98.8 %"), (1 - 0.05 / 3, "98.3 %")])
def test_levels_are_short(level: float, text: str) -> None:
    assert percent(level) == text


def test_verdicts_in_a_few_words() -> None:
    verdicts = {
        GAIN: "gain",
        LOSS: "loss",
        EQUIVALENT: "equivalent within the margin",
        UNDECIDED: "undecided; about 9 seeds would probably decide",
        ONE_PAIR: "one seed; it says nothing about alpha",
    }
    for verdict, words in verdicts.items():
        assert verdict_words(replace(EFFECT, verdict=verdict, seeds_needed=9)) == words
    blind = replace(EFFECT, verdict=UNDECIDED, interval=None)
    assert verdict_words(blind) == "undecided; all differences are the same, so there is no spread to judge by"


def noted(comparison: Comparison, kept: Any) -> str:
    return " ".join(notes(comparison, effects(comparison, kept, margin=MARGIN), MARGIN))


def test_notes_say_what_it_rests_on() -> None:
    comparison, kept = study(arms_of(0.70, 0.72, 0.71), teachers=range(5))
    text = noted(comparison, kept)
    assert "about the procedure, its teacher included" in text
    assert "5 pairs an arm." in text
    assert "over new seeds and new images (two-way), with the spread over seeds" in text
    assert "Holm over 2 arms" in text
    assert "within 0.5 points" in text
    assert "accuracy alone" not in text


def test_notes_say_what_is_missing() -> None:
    comparison, kept = study(arms_of(0.70, 0.72, 0.71, 0.70), teachers=[0])
    runs = comparison.runs
    text = noted(
        replace(comparison, runs=runs[runs["run_id"] != runs["run_id"].iloc[-1]]), dict(list(kept.items())[:9])
    )
    assert "students of this teacher" in text
    assert "4 to 5 pairs an arm; up to 1 runs have no partner" in text
    assert "3 arms are compared by accuracy alone" in text
    assert "as no other has the same seeds" in text


def test_notes_on_one_seed() -> None:
    comparison, kept = study(arms_of(0.70, 0.72, seeds=1))
    assert "it says nothing about alpha." in noted(comparison, kept)
    comparison, kept = study(arms_of(0.70, 0.72, 0.71, seeds=1))
    assert "adjusted by Holm over 2 arms." in noted(comparison, kept)


def test_no_sentence_of_a_hundred_studies_contradicts_its_verdict() -> None:
    for seed in range(25):
        comparison, kept = study(arms_of(0.70, 0.70, 0.711, 0.69, seeds=4, images=800, noise=0.04, seed=seed))
        for effect in effects(comparison, kept, margin=0.02):
            text = sentence(comparison, [effect], 0.02)
            low, high = (float(one) for one in re.findall(r"interval (\S+) to (\S+)", text)[0])
            inside = max(-low, high) < 2
            assert (low > 0, high < 0) == (effect.verdict == GAIN, effect.verdict == LOSS) or inside, text
            assert inside == (effect.verdict == EQUIVALENT), text
            assert np.sign([low, high]).any()
