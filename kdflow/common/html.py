"""Text as HTML that shows it and does nothing else."""

import html
from collections.abc import Collection, Iterable, Mapping

from kdflow.common.text import plain


def html_table(shown: Mapping[str, Iterable[str]], words: Collection[str] = ()) -> str:
    """Returns columns as a table of HTML in which whatever they hold is mere text.

    Args:
        shown: Heading to cells.
        words: Headings of the columns that hold words; all others hold numbers.
    """

    def line(tag: str, cells: Iterable[str]) -> str:
        kinds = (' class="word"' if heading in words else "" for heading in shown)
        pairs = zip(kinds, cells, strict=True)
        return f"<tr>{''.join(f'<{tag}{kind}>{inert(cell)}</{tag}>' for kind, cell in pairs)}</tr>"

    body = (line("td", cells) for cells in zip(*shown.values(), strict=True))
    return "\n".join(("<table>", f"<thead>{line('th', shown)}</thead>", "<tbody>", *body, "</tbody>", "</table>"))


def inert(text: str) -> str:
    """Returns a text as HTML that shows it and does nothing else."""
    return html.escape(plain(text))
