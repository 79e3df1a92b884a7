"""A comparison is shown, and logged as tables, figures, metrics and description of a run: a study's, or one of its own.

Of the students of the same teachers there is one compare run, which the next comparison takes the place of.
"""

import re
from collections.abc import Mapping

from kdflow.analysis.comparison import DRAWN, Comparison
from kdflow.common.console import console, say
from kdflow.experiments import descriptions
from kdflow.experiments.find_teacher import described
from kdflow.reports import formats
from kdflow.reports.html_page import page
from kdflow.reports.lettering import arm_labels, run_labels
from kdflow.reports.terminal import Shown
from kdflow.tracking.delivery import COMPARES
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.readers import Runs
from kdflow.tracking.run import Run
from kdflow.tracking.surroundings import SIGNATURE_TAG
from kdflow.training.identity import joint_signature

MEASURES = {"mean": "test_accuracy_mean", "deviation": "test_accuracy_std", "gain": "difference_mean"}
"""What is logged of each arm, and its column in `Comparison.arms`."""


def tell_teacher(comparison: Comparison, runs: Runs, *, named: bool) -> None:
    """Says whose students are compared.

    Args:
        comparison: That was found.
        runs: Where it was found.
        named: Whether the teacher was asked for.
    """
    teachers = _teachers(comparison)
    if not teachers:
        say(f"teacher: none of these students has one in {runs.place}")
    elif len(teachers) == 1:
        why = "" if named or len(comparison.runs) == 1 else ", taken as the one with the most students"
        say(f"teacher: {described(teachers[0], runs)}{why}")
    else:
        say(f"teachers: {len(teachers)} that differ in nothing but the seed, taken as those with the most students")


def run_of(comparison: Comparison, outbox: Outbox, runs: Runs) -> Run:
    """The one run in which the students of these teachers are compared, on these data and this split.

    Args:
        comparison: That is to be logged.
        outbox: Of the command.
        runs: Where the comparison was found.
    """
    tags = {
        "kdflow.data": comparison.dataset,
        "kdflow.data_digest": comparison.data_digest,
        "kdflow.split_digest": comparison.split_digest,
    }
    teachers = sorted(runs.record(one).tags.get(SIGNATURE_TAG, one) for one in _teachers(comparison))
    compared = joint_signature("compare", [comparison.data_digest, comparison.split_digest, *teachers])
    return Run(outbox, "compare", f"compare {comparison.dataset}", tags=tags | {COMPARES: compared})


def log(comparison: Comparison, run: Run, runs: Runs, *, sentence: str = "") -> Comparison:
    """Logs tables, figures, headline numbers and a description, and prints the table.

    Args:
        comparison: To log.
        run: Of the study, or of the comparison itself.
        runs: Where the comparison was found.
        sentence: The answer in one sentence, which the description begins with; empty without one.
    """
    drawn = comparison.drawn()
    accuracies = formats.accuracy_dots if drawn.has_seeds else formats.accuracy_bars
    run.text(formats.markdown(comparison), "comparison.md")
    run.text(formats.csv_text(comparison), "comparison.csv")
    run.text(formats.json_text(comparison), "comparison.json")
    curves, bars = formats.png(formats.loss_curves(drawn)), formats.png(accuracies(drawn))
    run.file(curves, "loss_curves.png")
    run.file(bars, "accuracy.png")
    run.text(page(comparison, {"Loss curves": curves, "Final accuracies": bars}), "comparison.html")
    describe_study(
        run, sentence=sentence, table=formats.markdown(comparison, single=False), measures=headlines(comparison)
    )
    console.print(Shown(comparison))
    if comparison.has_seeds:
        say(f"Every run: {run.artifacts / 'comparison.csv'}", vital=True)
    say(f"Table and figures: {run.artifacts / 'comparison.html'}", vital=True)
    say(f"Side by side in a browser: {runs.comparison_page(list(drawn.runs['run_id'][:DRAWN]))}", vital=True)
    return comparison


def describe_study(run: Run, *, sentence: str, table: str, measures: Mapping[str, Mapping[str, float]]) -> None:
    """Gives the page of a study, or of a comparison, its headline numbers as metrics, and a description.

    Args:
        run: Of it.
        sentence: The answer in one sentence, as plain text; empty without one.
        table: In Markdown.
        measures: By name of what was measured, such as "mean", its value for each arm, by the arm's name.
    """
    measured = {
        f"test/{metric_name(name)}/{metric_name(arm)}": value
        for name, values in measures.items()
        for arm, value in values.items()
    }
    run.metrics(measured, anew=True)
    run.describe(descriptions.of_answer(sentence, table))


def headlines(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Mean test accuracy, its deviation over seeds, and gain over alpha = 1, each as a fraction by name of the arm."""
    first = [rows[0] for rows in comparison.rows_by_arm]
    labels = arm_labels(first) if comparison.has_seeds else run_labels(first)
    return {
        name: {label: value for label, value in zip(labels, comparison.arms[column], strict=True) if value is not None}
        for name, column in MEASURES.items()
    }


def metric_name(label: str) -> str:
    """The name of an arm as MLflow takes it in that of a metric: "alpha = 0.5, T = 4" is "alpha 0.5 T 4"."""
    return " ".join(re.sub(r"[^\w.\- ]", " ", label).split())


def _teachers(comparison: Comparison) -> list[str]:
    return list(comparison.runs.loc[comparison.runs["role"] == "teacher", "run_id"])
