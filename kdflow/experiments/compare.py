"""A comparison is shown, and logged as the tables and figures of a run of its own."""

from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import DRAWN, Comparison
from kdflow.common.console import console, say
from kdflow.experiments.find_teacher import described
from kdflow.reports import formats
from kdflow.reports.report import figures, html
from kdflow.reports.terminal import Shown
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.readers import Runs
from kdflow.tracking.run import Run


def tell_teacher(comparison: Comparison, runs: Runs, *, named: bool) -> None:
    """Says whose students are compared.

    Args:
        comparison: That was found.
        runs: Where it was found.
        named: Whether the teacher was asked for.
    """
    teachers = list(comparison.runs.loc[comparison.runs["role"] == "teacher", "run_id"])
    if not teachers:
        say(f"teacher: none of these students has one in {runs.place}")
    elif len(teachers) == 1:
        why = "" if named or len(comparison.runs) == 1 else ", taken as the one with the most students"
        say(f"teacher: {described(teachers[0], runs)}{why}")
    else:
        say(f"teachers: {len(teachers)} that differ in nothing but the seed, taken as those with the most students")


def log(comparison: Comparison, outbox: Outbox, runs: Runs, *, parent: Run | None = None) -> Comparison:
    """Logs tables and figures as the artifacts of a compare run, and prints the table."""
    tags = {
        "kdflow.data": comparison.dataset,
        "kdflow.data_digest": comparison.data_digest,
        "kdflow.split_digest": comparison.split_digest,
    }
    answer = Answer.of(comparison)
    drawn = figures(answer)
    with Run(outbox, "compare", f"compare {comparison.dataset}", parent=parent, tags=tags) as run:
        run.text(formats.markdown(answer), "comparison.md")
        run.text(formats.csv_text(comparison), "comparison.csv")
        run.text(formats.arms_csv(answer), "arms.csv")
        run.text(formats.json_text(answer), "comparison.json")
        run.text(html(answer, drawn), "report.html")
        for name, figure in drawn.items():
            run.file(formats.png(figure), f"figures/{name}.png")
            run.file(formats.svg(figure), f"figures/{name}.svg")
            run.file(formats.pdf(figure), f"figures/{name}.pdf")
    console.print(Shown(answer))
    if comparison.has_seeds:
        say(f"Every run: {run.artifacts / 'comparison.csv'}", vital=True)
    say(f"Table and figures: {run.artifacts / 'report.html'}", vital=True)
    say(
        f"Side by side in a browser: {runs.comparison_page(list(comparison.drawn().runs['run_id'][:DRAWN]))}",
        vital=True,
    )
    return comparison
