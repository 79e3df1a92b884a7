"""What a run that goes on must have in common with what it was before it was stopped."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from kdflow import __version__
from kdflow.config import RuntimeConfig, StudentConfig, StudyConfig, TeacherConfig, configure, flat, options
from kdflow.console import say
from kdflow.data import Dataset, sources
from kdflow.errors import DataError, KdflowError, UsageError
from kdflow.journal import Journal
from kdflow.options import flag, show
from kdflow.runtime import Runtime
from kdflow.tracking import data_tags

Config = TypeVar("Config", TeacherConfig, StudentConfig, StudyConfig)


def stopped_run(kind: str, reference: str, runs_dir: str) -> Journal:
    """The journal of a run that was stopped.

    Raises:
        KdflowError: there is none, or it is of another kind.
    """
    journal = Journal.find(Path(runs_dir), reference)
    if journal.started["kind"] != kind:
        again = "kdflow compare" if journal.started["kind"] == "compare" else journal.resume_command
        raise KdflowError(f"--resume {reference}: this is no {kind}: {again}")
    return journal


def options_of_stopped_run(kind: str, config: Config, given: Mapping[str, object]) -> Config:
    """The options of a stopped run, with those given that may differ.

    Args:
        kind: "teacher", "student" or "study".
        config: The defaults.
        given: Options by flat name, `resume` among them.

    Raises:
        UsageError: an option is given that the run has otherwise.
        KdflowError: there is no such run, or it is of another kind.
    """
    asked = configure(config, **given)
    journal = stopped_run(kind, asked.keeping.resume, asked.keeping.runs_dir)
    known = {name: text for name, text in journal.started["config"].items() if name in options(config)}
    here = {"runs_dir": asked.keeping.runs_dir, "offline": asked.keeping.offline}
    return configure(config, **(known | here | dict(given)))


def require_same_options(journal: Journal, config: Config) -> None:
    """What a run finds or computes with may change; what it computes may not.

    Raises:
        UsageError: an option differs.
    """
    specs, theirs = options(config), journal.started["config"]
    differing = [
        f"{flag(name)} {show(value)} (the run has {theirs.get(name) or 'none'})"
        for name, value in flat(config).items()
        if not specs[name].incidental and theirs.get(name) != show(value)
    ]
    named, seen = config.data.dataset, theirs["dataset"]
    if named in sources and named != seen:  # a folder may have been moved, and is told by what is in it
        differing.append(f"--dataset {named} (the run has {seen})")
    if differing:
        raise UsageError(
            f"--resume {config.keeping.resume}: other options than those of the run: {', '.join(differing)}; leave "
            "them out, or begin a new run"
        )


def require_same_data(journal: Journal, data: Dataset) -> None:
    """A data set may have moved; its images, labels and split may not differ.

    Raises:
        DataError: they do.
    """
    theirs = journal.started["data"]
    for name, value in data_tags(data).items():
        if theirs[name] != value and name != "kdflow.data":
            what = name.removeprefix("kdflow.")
            raise DataError(
                f"--resume {journal.id}: {data.name} is not what the run saw ({what} {value[:8]}, the run has "
                f"{theirs[name][:8]}): give it the same images, or begin a new run"
            )


def same_threads(journal: Journal, config: RuntimeConfig) -> RuntimeConfig:
    """Left to itself, a run computes on as many threads as before it was stopped."""
    chosen = config.threads not in (0, "auto")
    return config if chosen else replace(config, threads=int(journal.started["computing"]["threads"]))


def tell_differences(journal: Journal, runtime: Runtime) -> None:
    """Says so where equal bits cannot be promised."""
    theirs, ours = journal.started["computing"], computing(runtime)
    differing = [f"{name} {ours[name]} (was {theirs.get(name)})" for name in ours if theirs.get(name) != ours[name]]
    if differing:
        say(
            f"Note: going on with {'; '.join(differing)}. The run will be sound, but it is not promised to equal one "
            "that was never stopped, bit for bit."
        )


def computing(runtime: Runtime) -> dict[str, Any]:
    """All that the last bits of a run depend on."""
    chip, dtype, _, _ = runtime.arithmetic
    return {
        "chip": chip,
        "arithmetic": dtype.removeprefix("torch."),
        "threads": str(runtime.threads),
        "deterministic": show(runtime.deterministic),
        "torch": torch.__version__,
        "kdflow": __version__,
    }
