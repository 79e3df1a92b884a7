"""An answer as one HTML page that holds everything: tables, figures, test images. It runs and fetches nothing.

The page is made of sections (`kdflow.reports.sections`) and templates, which escape all they show.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from kdflow.analysis.answer import Answer
from kdflow.common.text import plain
from kdflow.reports.accuracy import accuracy_dots
from kdflow.reports.blocks import WORDS
from kdflow.reports.drawing import svg
from kdflow.reports.figures import loss_curves
from kdflow.reports.gains import forest
from kdflow.reports.inline_svg import DARK, LIGHT, inlined, palette
from kdflow.reports.learning import ACCURACY, accuracy_curves
from kdflow.reports.measured import accuracy_against_cost, fidelity_dots, reliability_diagrams
from kdflow.reports.sections import sections

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

# Even if a name were not inert, the browser would run and fetch nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LONG = 160  # letters of a sentence, beyond which it is set smaller
TITLES = {
    "gains": "Forest plot: gain in test accuracy of each arm, with intervals; the table of results has its numbers",
    "test_accuracy": "Dots: test accuracy of every seed, by arm, with mean and interval; every number is in the tables",
    "accuracy_curves": "Curves: validation accuracy over epochs by arm, and how far it is ahead of alpha = 1",
    "loss_curves": "Curves: losses over epochs by arm, training and validation",
    "fidelity": "Dots: agreement with the teacher and divergence from it by arm; the table beside it has the numbers",
    "reliability": "Reliability diagrams by arm: accuracy over confidence, before and after temperature scaling",
    "cost": "Scatter plot: test accuracy over parameters, FLOPs and latency, teacher and students",
}
"""Name of a figure to what a reader hears who cannot see it."""


def figures(answer: Answer) -> "dict[str, Figure]":
    """Returns the figures of an answer by name, those alone for which there is anything to draw.

    Args:
        answer: What is drawn; of its runs the arms that figures show (see `Comparison.drawn`).
    """
    comparison = answer.comparison.drawn()
    metrics = set(comparison.curves["metric"])
    drawn: dict[str, Figure | None] = {
        "gains": forest(answer) if answer.effects else None,
        "test_accuracy": accuracy_dots(comparison, ("test",)) if comparison.rows else None,
        "accuracy_curves": accuracy_curves(comparison) if ACCURACY in metrics else None,
        "loss_curves": loss_curves(comparison, titled=False) if metrics else None,
        "fidelity": fidelity_dots(answer),
        "reliability": reliability_diagrams(answer),
        "cost": accuracy_against_cost(answer),
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}


def html(answer: Answer, drawn: Mapping[str, bytes] | None = None) -> str:
    """Returns the page.

    Args:
        answer: What it tells.
        drawn: Its figures as SVG, by name, where they are drawn already.
    """
    drawn = {name: svg(figure) for name, figure in figures(answer).items()} if drawn is None else drawn
    elements = {name: inlined(one, name=name.replace("_", "-"), title=TITLES[name]) for name, one in drawn.items()}
    text = "".join(elements.values())
    return (
        _templates()
        .get_template("report.html.j2")
        .render(
            title=f"Accuracy on {answer.comparison.dataset}",
            sentence=answer.sentence,
            is_long=len(answer.sentence) > LONG,
            sections=sections(answer, elements),
            policy=POLICY,
            light={"paper": LIGHT, "palette": palette(text, paper=LIGHT)},
            dark={"paper": DARK, "palette": palette(text, paper=DARK)},
        )
    )


@cache
def _templates() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("kdflow.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_plain,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["words"] = WORDS
    return environment


def _plain(value: Any) -> Any:
    """Text as one line of visible characters; what is HTML already, as it is."""
    return plain(value) if type(value) is str else value
