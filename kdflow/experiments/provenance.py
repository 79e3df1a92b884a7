"""How the numbers of a comparison were made, as its runs say it."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from kdflow.analysis.answer import Provenance
from kdflow.analysis.comparison import Comparison
from kdflow.common.errors import KdflowError
from kdflow.experiments.find_teacher import described
from kdflow.experiments.progress import duration
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from kdflow.tracking.source import COMMIT, DIRTY
from kdflow.tracking.surroundings import STUDY_TAG

COMMAND_TAG = "kdflow.command"
"""Tag of a study: what was typed, with all options that are not at their default."""
ASKED = 60
"""Runs that are asked at the most."""
LISTED = 3
VERSIONS = ("python", "torch", "torchvision", "mlflow")
PARTS = ("train", "validation", "test")


def provenance(comparison: Comparison, runs: Runs, *, command: str = "") -> Provenance:
    """Returns how the runs of a comparison were made.

    Args:
        comparison: The runs.
        runs: Where they are read from.
        command: That made them; empty: those of the studies that they belong to.
    """
    records = [runs.record(run_id) for run_id in comparison.runs["run_id"][:ASKED]]
    if not records:
        return Provenance()
    about, studies = _environment(runs, records[-1]), _studies(records, runs)
    facts = {
        "command": command or _told(study.tags.get(COMMAND_TAG, "") for study in studies),
        "data": _data(comparison, runs, records[-1]),
        "seeds": ", ".join(map(str, sorted(set(map(int, comparison.runs["seed"]))))),
        "teacher": _teachers(comparison, runs),
        "kdflow": _told(map(_code, records)),
        "versions": ", ".join(f"{name} {about[name]}" for name in VERSIONS if name in about),
        "hardware": _hardware(about),
        "time": _time(records),
    }
    linked = {record.run_id: record.run_id for record in records}
    linked |= {study.tags.get("mlflow.runName", study.run_id): study.run_id for study in studies}
    links = {name: runs.run_page(run_id) for name, run_id in linked.items()}
    return Provenance(
        {name: text for name, text in facts.items() if text},
        {name: page for name, page in links.items() if page},
        any(record.tags.get(DIRTY) == "true" for record in records),
    )


def _told(texts: Iterable[str]) -> str:
    """Each text once, the first few of many."""
    found = list(dict.fromkeys(filter(None, texts)))
    return "; ".join(found[:LISTED]) + f" and {len(found) - LISTED} more" * (len(found) > LISTED)


def _studies(records: Sequence[Record], runs: Runs) -> list[Record]:
    """The studies that runs belong to, as far as they are there."""
    found = []
    for study in dict.fromkeys(filter(None, (record.tags.get(STUDY_TAG) for record in records))):
        try:
            found.append(runs.record(study))
        except KdflowError:  # it is gone, or kept elsewhere
            continue
    return found


def _code(record: Record) -> str:
    version, commit = record.tags.get("kdflow.version", ""), record.tags.get(COMMIT, "")
    changed = " with changes that no commit holds" if record.tags.get(DIRTY) == "true" else ""
    return f"version {version}" + f", commit {commit[:12]}{changed}" * bool(commit)


def _environment(runs: Runs, record: Record) -> dict[str, Any]:
    content = runs.artifact(record.run_id, "environment.json")
    return dict(json.loads(content)) if content else {}


def _hardware(about: dict[str, Any]) -> str:
    told = (str(about[name]) for name in ("processor", "computed on") if name in about)
    return ", ".join((*told, *([f"{about['cores']} cores"] if "cores" in about else [])))


def _data(comparison: Comparison, runs: Runs, record: Record) -> str:
    images = runs.images(record.run_id)
    counts = ", ".join(f"{images[part]:,} {part}" for part in PARTS if part in images)
    digests = f"data {comparison.data_digest[:12]}, split {comparison.split_digest[:12]}"
    return f"{comparison.dataset} ({digests})" + f": {counts} images" * bool(counts)


def _teachers(comparison: Comparison, runs: Runs) -> str:
    teachers = list(comparison.runs.loc[comparison.runs["role"] == "teacher", "run_id"])
    if len(teachers) == 1:
        return described(teachers[0], runs)
    return f"one for each of {len(teachers)} seeds" if teachers else ""


def _time(records: Sequence[Record]) -> str:
    ended = [record for record in records if record.ended]
    if not ended:
        return ""
    first, last = min(record.started for record in ended), max(record.ended for record in ended)
    told = [datetime.fromtimestamp(moment / 1000, UTC).strftime("%Y-%m-%d %H:%M") for moment in (first, last)]
    return f"{told[0]} to {told[1]} UTC ({duration((last - first) / 1000)})"
