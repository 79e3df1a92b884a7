"""The report on finished runs: a page that holds everything, its figures for papers, its tables for programs."""

import webbrowser
from pathlib import Path

from kdflow.analysis import selection
from kdflow.analysis.answer import Answer
from kdflow.common import files
from kdflow.common.console import say
from kdflow.config import ReportConfig
from kdflow.experiments import compare
from kdflow.experiments.answering import answered
from kdflow.experiments.session import readable
from kdflow.reports import drawing
from kdflow.reports.files import PAGE, files_of
from kdflow.reports.notebook import Inline


def run_report(config: ReportConfig) -> Answer:
    """Writes the report on finished runs into a folder; no run is changed, and none is made.

    Args:
        config: The options.

    Returns:
        The answer, which a notebook shows as sentence, table and figure.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    folder = Path(config.output).expanduser().absolute()
    files.require_writable(folder, option="--output")
    drawing.require()
    runs = readable(config.keeping.runs_dir, offline=config.keeping.offline)
    comparison = selection.find(config, runs)
    compare.tell_teacher(comparison, runs, named=bool(config.teacher))
    answer = answered(comparison, runs, config.answer, baseline=config.baseline)
    for name, content in files_of(answer).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        files.write(path, content)
    say(answer.sentence, vital=True)
    say(
        f"Report: {folder / PAGE}; its figures as SVG and PDF, its tables as CSV, JSON and Markdown lie beside it",
        vital=True,
    )
    if config.open and not webbrowser.open_new_tab((folder / PAGE).as_uri()):
        say("No browser could be started: open that page by hand", vital=True)
    return Inline(**vars(answer))
