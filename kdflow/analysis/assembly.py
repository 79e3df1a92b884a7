"""From runs and their kept predictions to the answer: every table and figure of the report rests on this."""

from collections.abc import Mapping

from kdflow.analysis.answer import Answer
from kdflow.analysis.arms import arm_named
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effects import effects
from kdflow.analysis.learning import learning
from kdflow.analysis.measures import arm_measures, measures, seed_agreement
from kdflow.analysis.partings import partings
from kdflow.analysis.per_class import class_accuracy, confusion
from kdflow.analysis.reliability import reliability
from kdflow.analysis.verdicts import notes, sentence
from kdflow.evaluation.predictions import Predictions


def assemble(
    comparison: Comparison, predictions: Mapping[str, Predictions], *, margin: float = 0.005, baseline: str = ""
) -> Answer:
    """Answers what students gain, from their accuracies and predictions alone.

    Args:
        comparison: The runs.
        predictions: Run id to what is kept; runs without are compared by their accuracy.
        margin: Differences within it count as none, a fraction.
        baseline: The arm to compare with, as tables name it; empty: that of alpha = 1.

    Raises:
        UsageError: there is no such arm.
    """
    against = arm_named(comparison.rows_by_arm, baseline) if baseline else None
    found = effects(comparison, predictions, margin=margin, baseline=against)
    measured = measures(comparison, predictions)
    if comparison.costs is not None:
        measured = measured.merge(comparison.costs, on="run_id", how="left")
    return Answer(
        comparison,
        found,
        sentence(comparison, found, margin),
        notes(comparison, found, margin),
        measured,
        arm_measures(comparison, measured),
        reliability(comparison, predictions),
        class_accuracy(comparison, predictions),
        confusion(comparison, predictions),
        learning(comparison),
        partings(comparison, predictions),
        margin=margin,
        seed_agreement=seed_agreement(comparison, predictions),
    )
