"""An answer as a notebook shows it inline."""

from kdflow.analysis.answer import Answer
from kdflow.analysis.cells import NAMES
from kdflow.common.html import html_table, inert
from kdflow.reports.drawing import svg
from kdflow.reports.gains import forest
from kdflow.reports.inline_svg import inlined
from kdflow.reports.report import TITLES


class Inline(Answer):
    """The same answer, which a notebook shows as sentence, table and forest plot: `Inline(**vars(answer))`."""

    def _repr_html_(self) -> str:
        return inline(self)


def inline(answer: Answer) -> str:
    """Returns the sentence, the table, the notes below it, and where there are gains their forest plot.

    The figure lies on white, as a notebook may be dark without saying so.
    """
    title = f"<b>{inert(answer.sentence or f'Accuracy on {answer.comparison.dataset}')}</b>"
    below = "<br>".join(map(inert, (*answer.remarks, *answer.comparison.footnotes)))
    parts = [title, html_table(answer.cells, NAMES), f"<p>{below}</p>"]
    if answer.effects:
        drawn = inlined(svg(forest(answer)), name=f"gains-{id(answer):x}", title=TITLES["gains"])
        parts.append(f'<div style="max-width: 54rem; padding: .5rem; background: #fff; color: #000">{drawn}</div>')
    return "\n".join(parts)
