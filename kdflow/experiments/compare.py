"""A comparison is shown, and logged as tables, figures, metrics and description of a run: a study's, or one of its own.

Of the students of the same teachers there is one compare run, which the next comparison takes the place of.
"""

import re
from collections.abc import Mapping

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import DRAWN, Comparison
from kdflow.common.console import console, say
from kdflow.experiments import descriptions
from kdflow.experiments.find_teacher import described
from kdflow.reports import formats
from kdflow.reports.files import PAGE, files_of
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


def log(answer: Answer, run: Run, runs: Runs) -> Comparison:
    """Logs the report, headline numbers and a description, and prints the table.

    Args:
        answer: To log.
        run: Of the study, or of the comparison itself.
        runs: Where its runs were found.
    """
    comparison = answer.comparison
    for name, content in files_of(answer).items():
        run.file(content, name)
    describe_study(run, told=formats.markdown(answer, whole=False), measures=headlines(comparison))
    console.print(Shown(answer))
    if comparison.has_seeds:
        say(f"Every run: {run.artifacts / 'comparison.csv'}", vital=True)
    say(f"The report, with figures: {run.artifacts / PAGE}", vital=True)
    say(f"Side by side in a browser: {_side_by_side(comparison, runs)}", vital=True)
    return comparison


def _side_by_side(comparison: Comparison, runs: Runs) -> str:
    return runs.comparison_page(list(comparison.drawn().runs["run_id"][:DRAWN]))


def describe_study(run: Run, *, told: str, measures: Mapping[str, Mapping[str, float]]) -> None:
    """Gives the page of a study, or of a comparison, its headline numbers as metrics, and a description.

    Args:
        run: Of it.
        told: The answer and its table, in Markdown.
        measures: By name of what was measured, such as "mean", its value for each arm, by the arm's name.
    """
    measured = {
        f"test/{metric_name(name)}/{metric_name(arm)}": value
        for name, values in measures.items()
        for arm, value in values.items()
    }
    run.metrics(measured, anew=True)
    run.describe(descriptions.of_answer(told))


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
