"""A comparison as one HTML page that holds everything: tables, footnotes, figures. It runs and fetches nothing."""

import base64
from collections.abc import Iterable, Mapping

from kdflow.analysis.cells import NAMES, columns
from kdflow.analysis.comparison import Comparison
from kdflow.common.html import html_table, inert

NARROW = "@media (max-width: 46rem)"
STYLE = f"""
body {{ font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 76rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.4rem; font-weight: 600 }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }}
th {{ border-bottom: 2px solid #888; font-weight: 600 }}
.word {{ text-align: left }}
td.word {{ white-space: normal; overflow-wrap: anywhere; min-width: 8rem }}
td.word:first-child {{ min-width: auto; white-space: nowrap }}
img {{ max-width: min(100%, 60rem); height: auto; margin-top: 1.5rem }}
{NARROW} {{
thead {{ display: none }}
table, tbody, tr {{ display: block }}
tr {{ padding: .5rem 0; border-bottom: 2px solid #888 }}
td, td.word {{ display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: 0; text-align: right }}
td::before {{ font-weight: 600; white-space: nowrap }}
}}
"""
# Even if a name were not inert, the browser would run and fetch nothing.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def page(comparison: Comparison, figures: Mapping[str, bytes]) -> str:
    """Returns the page.

    Args:
        comparison: Its tables and footnotes; where there are arms of several seeds, every run is the last table.
        figures: What a figure shows, and the figure as PNG.
    """
    shown, every = comparison.cells, columns(comparison.runs) if comparison.has_seeds else {}
    headings = _headings(shown) + (_headings(every, within=".every ") if every else "")
    title = f"Accuracy on {comparison.dataset}"
    footnotes = "".join(f"<li>{inert(note)}</li>" for note in comparison.footnotes)
    lines = [
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{inert(title)}</title>\n<style>{STYLE}{headings}</style>\n</head>\n<body>",
        f'<h1>{inert(title)}</h1>\n<div class="wide">{html_table(shown, NAMES)}</div>',
        f"<p>{inert(' '.join(comparison.notes))}</p>",
        *([f"<ul>{footnotes}</ul>"] if footnotes else []),
        *(_image(shows, drawn) for shows, drawn in figures.items()),
        *([f'<h2>Every run</h2>\n<div class="wide every">{html_table(every, NAMES)}</div>'] if every else []),
        "</body>\n</html>\n",
    ]
    return "\n".join(lines)


def _headings(shown: Iterable[str], *, within: str = "") -> str:
    """Where a narrow page shows one cell under the other, each with its heading, all of which are ours."""
    rules = "".join(
        f'{within}td:nth-child({place})::before {{ content: "{name}" }}\n' for place, name in enumerate(shown, 1)
    )
    return f"{NARROW} {{\n{rules}}}\n"


def _image(shows: str, drawn: bytes) -> str:
    return f'<img alt="{inert(shows)}" src="data:image/png;base64,{base64.b64encode(drawn).decode()}">'
