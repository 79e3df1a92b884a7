"""The report as files: a page that holds everything, its tables for programs, its figures for slides and papers."""

from kdflow.analysis.answer import Answer
from kdflow.reports import formats
from kdflow.reports.report import figures, html

PAGE = "report.html"


def files_of(answer: Answer) -> dict[str, bytes]:
    """Returns the content of each file, by its path."""
    drawn = figures(answer)
    vectors = {name: formats.svg(figure) for name, figure in drawn.items()}
    texts = {
        PAGE: html(answer, vectors),
        "comparison.md": formats.markdown(answer),
        "comparison.csv": formats.csv_text(answer.comparison),
        "arms.csv": formats.arms_csv(answer),
        "comparison.json": formats.json_text(answer),
    }
    found = {name: text.encode() for name, text in texts.items()}
    for name, figure in drawn.items():
        kinds = {"png": formats.png(figure), "svg": vectors[name], "pdf": formats.pdf(figure)}
        found |= {f"figures/{name}.{kind}": content for kind, content in kinds.items()}
    return found
