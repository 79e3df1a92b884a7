"""From finished runs to an answer: their kept predictions are read, and how they were made is said."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from kdflow.analysis.answer import Answer, Parting
from kdflow.analysis.assembly import assemble
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.records import OPTIONS
from kdflow.common.console import warn
from kdflow.common.errors import KdflowError
from kdflow.config import AnswerConfig, DataConfig, configure, options
from kdflow.data import Dataset, load
from kdflow.data.sets.download import no_downloads
from kdflow.evaluation.predictions import PREDICTIONS, Predictions
from kdflow.experiments.provenance import provenance
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record

READ = 300
"""Runs whose predictions are read at the most: each takes half a megabyte, and a moment."""


def answered(
    comparison: Comparison,
    runs: Runs,
    config: AnswerConfig,
    *,
    baseline: str = "",
    command: str = "",
    data: Dataset | None = None,
) -> Answer:
    """Answers what students gain.

    Args:
        comparison: The runs.
        runs: Where they are read from.
        config: What counts as an answer.
        baseline: The arm to compare with; empty: that of alpha = 1.
        command: That made the runs, where it is known.
        data: What they saw, if it is at hand; else it is read again for the images that are shown, if it can be.

    Raises:
        UsageError: there is no such arm.
    """
    predictions = _predictions(comparison, runs)
    found = assemble(comparison, predictions, margin=config.margin / 100, baseline=baseline)
    data = data or (_data(comparison, runs) if found.partings else None)
    return replace(
        found,
        partings=tuple(_with_images(found.partings, data)),
        provenance=provenance(comparison, runs, command=command),
    )


def _predictions(comparison: Comparison, runs: Runs) -> dict[str, Predictions]:
    """Those that are kept, of the runs that figures show."""
    found = {}
    for run_id in comparison.drawn().runs["run_id"][:READ]:
        if content := runs.artifact(run_id, PREDICTIONS):
            try:
                found[run_id] = Predictions.from_bytes(content)
            except KdflowError as error:
                warn(f"run {run_id}: {error}; it is compared by its accuracy")
    return found


def _data(comparison: Comparison, runs: Runs) -> Dataset | None:
    """What the runs saw, read from where they saw it; None if it is not there any more, or is another."""
    record = runs.record(comparison.runs["run_id"].iloc[-1])
    with suppress(KdflowError, OSError), no_downloads():
        data = load(_data_config(record))
        return data if data.digest == comparison.data_digest else None
    return None


def _data_config(record: Record) -> DataConfig:
    known = {name: record.params[name] for name in options(DataConfig()) if name in record.params and name in OPTIONS}
    return configure(DataConfig(), **known | {"dataset": record.tags["kdflow.dataset"]})


def _with_images(partings: tuple[Parting, ...], data: Dataset | None) -> Iterator[Parting]:
    for one in partings:
        is_there = data is not None and one.index < len(data.test)
        yield replace(one, image=data.test.images[one.index].permute(1, 2, 0).numpy()) if data and is_there else one
