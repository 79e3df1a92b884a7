"""A comparison as one HTML page that holds everything: table, footnotes, figures. It runs and fetches nothing."""

import base64
import html
from collections.abc import Iterable, Mapping

from kdflow import report
from kdflow.rows import Comparison
from kdflow.text import plain

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; font-weight: 600 }
.wide { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th { border-bottom: 2px solid #888; font-weight: 600 }
.word { text-align: left }
td.word { white-space: normal; overflow-wrap: anywhere }
img { max-width: 100%; height: auto; margin-top: 1.5rem }
"""
# Even if a name were not inert, the browser would run and fetch nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(comparison: Comparison, figures: Mapping[str, bytes]) -> str:
    """Returns the page.

    Args:
        comparison: Its table and footnotes.
        figures: What a figure shows, and the figure as PNG.
    """
    columns = report.columns(comparison)
    title = f"Accuracy on {comparison.dataset}"
    notes = "".join(f"<li>{_inert(note)}</li>" for note in comparison.footnotes)
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_inert(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>",
        f'<h1>{_inert(title)}</h1>\n<div class="wide"><table>\n<thead>{_line("th", columns, columns)}</thead>\n<tbody>',
        *(_line("td", columns, cells) for cells in zip(*columns.values(), strict=True)),
        f"</tbody>\n</table></div>\n<p>{_inert(report.units(comparison))}</p>",
        *([f"<ul>{notes}</ul>"] if notes else []),
        *(_image(shows, drawn) for shows, drawn in figures.items()),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _line(tag: str, headings: Iterable[str], cells: Iterable[str]) -> str:
    kinds = (' class="word"' if heading in report.NAMES else "" for heading in headings)
    drawn = "".join(f"<{tag}{kind}>{_inert(cell)}</{tag}>" for kind, cell in zip(kinds, cells, strict=True))
    return f"<tr>{drawn}</tr>"


def _image(shows: str, drawn: bytes) -> str:
    return f'<img alt="{_inert(shows)}" src="data:image/png;base64,{base64.b64encode(drawn).decode()}">'


def _inert(text: str) -> str:
    return html.escape(plain(text))
