"""A command that was stopped: which one is meant, and whether it is asked for what it is. Answers without torch."""

from collections.abc import Mapping
from pathlib import Path

from kdflow.common.errors import KdflowError, UsageError
from kdflow.config import Resumable, configure, flat, options
from kdflow.config.option import flag, show
from kdflow.journal.journal import SCHEMA, Journal


def stopped_run(kind: str, reference: str, runs_dir: str) -> Journal:
    """The journal of a run that was stopped.

    Raises:
        KdflowError: there is none, it is of another kind, or of version 0.1, whose checkpoints are not read any more.
    """
    journal = Journal.find(Path(runs_dir), reference)
    if journal.started["schema"] < SCHEMA:
        raise KdflowError(
            f"--resume {reference}: it was begun by kdflow 0.1: go on with that version, or begin a new run"
        )
    if journal.started["kind"] != kind:
        again = "kdflow compare" if journal.started["kind"] == "compare" else journal.resume_command
        raise KdflowError(f"--resume {reference}: this is no {kind}: {again}")
    return journal


def options_of_stopped_run(kind: str, config: Resumable, given: Mapping[str, object]) -> Resumable:
    """The options of a stopped run, with those given that may differ.

    Args:
        kind: "teacher", "student" or "study".
        config: The defaults.
        given: Options by flat name, `resume` among them.

    Raises:
        UsageError: an option is given that the run has otherwise.
        KdflowError: there is no such run, it is of another kind, or another process works on it.
    """
    asked = configure(config, **given)
    journal = stopped_run(kind, asked.keeping.resume, asked.keeping.runs_dir)
    known = {name: text for name, text in journal.started["config"].items() if name in options(config)}
    here = {"runs_dir": asked.keeping.runs_dir, "offline": asked.keeping.offline}
    settled = configure(config, **(known | here | dict(given)))
    require_same_options(journal, settled)
    journal.require_unused()
    return settled


def require_same_options(journal: Journal, config: Resumable) -> None:
    """What a run finds or computes with may change; what it computes may not.

    Raises:
        UsageError: an option differs.
    """
    specs, theirs = options(config), dict(journal.started["config"])
    found = journal.started.get("teacher", "")
    if found and flat(config).get("teacher") in (found, journal.id_for(journal.folder.parent, found)):
        theirs["teacher"] = show(flat(config)["teacher"])  # it was left open, and this is what was found
    differing = [
        f"{flag(name)} {show(value)} (the run has {theirs.get(name) or 'none'})"
        for name, value in flat(config).items()
        if not specs[name].incidental and theirs.get(name) != show(value)
    ]
    named, seen = config.data.dataset, theirs["dataset"]
    is_folder = "/" in named or Path(named).expanduser().is_dir()  # it may have been moved: what is in it will tell
    if named != seen and not is_folder:
        differing.append(f"--dataset {named} (the run has {seen})")
    if differing:
        raise UsageError(
            f"--resume {config.keeping.resume}: other options than those of the run: {', '.join(differing)}; leave "
            "them out, or begin a new run"
        )
