"""Earlier attempts at the same command: which of them is gone on with."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from kdflow.common.console import say
from kdflow.common.errors import DivergedError
from kdflow.config import KeepingConfig, Resumable
from kdflow.device.runtime import resolve
from kdflow.experiments.lifetime import line_to_go_on
from kdflow.experiments.same_computation import same_threads, tell_differences
from kdflow.journal.journal import Journal
from kdflow.tracking import carried
from kdflow.tracking.pointers import reopen
from kdflow.tracking.presence import is_of_this_store
from kdflow.tracking.surroundings import STUDY_TAG
from kdflow.training.identity import SCHEMA

if TYPE_CHECKING:
    from kdflow.experiments.session import Session


def going_on(session: "Session[Resumable]", known_by: str) -> "Session[Resumable]":
    """The session, which goes on with an earlier attempt at its command if one was stopped.

    Args:
        session: Of a command that is about to begin.
        known_by: The signature of the command.

    Raises:
        KdflowError: an earlier attempt diverged, as this would.
        TrackingError: the store cannot be used.
    """
    keeping = session.config.keeping
    if keeping.is_carried:
        carried.fetch(Path(keeping.runs_dir), session.kind, known_by)
    attempts = [
        one for one in Journal.attempts(Path(keeping.runs_dir), session.kind, known_by) if is_meant(one, session)
    ]
    if diverged := [one for one in attempts if one.diverged]:
        raise DivergedError(
            f"{diverged[-1].key} ended by a loss that was no longer finite, as this would: change an option, or "
            "give --reuse false"
        )
    stopped = [one for one in attempts if _is_left(one, offline=keeping.offline) and not one.is_in_use]
    if not stopped:
        return session
    journal = stopped[-1]
    if not keeping.offline:
        reopen(journal)
    say(f"Going on with {journal.key}, which was stopped", vital=True)
    settled = same_threads(journal, session.config.runtime)
    runtime = session.runtime if settled == session.config.runtime else resolve(settled)
    tell_differences(journal, runtime)
    return replace(session, journal=journal, config=replace(session.config, runtime=settled), runtime=runtime)


def is_meant(earlier: Journal, session: "Session[Resumable]") -> bool:
    """Whether an earlier attempt may be gone on with: it is of this store, and where all is anew, of this study."""
    if earlier.started.get("identity") != SCHEMA:
        return False
    study = next((entry["tags"].get(STUDY_TAG) for entry in earlier.of(earlier.key, "create")), None)
    if not session.config.keeping.reuse and study != session.around.study:
        return False
    if session.config.keeping.offline or not earlier.ids:
        return True
    return is_of_this_store(earlier.ids.values())


def tell_stopped(kind: str, known_by: str, keeping: KeepingConfig) -> None:
    """Where all is anew, what would go on with an earlier attempt is said."""
    attempts = Journal.attempts(Path(keeping.runs_dir), kind, known_by)
    if stopped := [one for one in attempts if one.can_go_on and not one.is_in_use]:
        say(f"An attempt at this was stopped; go on with it: {line_to_go_on(stopped[-1], keeping)}", vital=True)


def _is_left(journal: Journal, *, offline: bool) -> bool:
    """Whether anything of a command is left to do, or to tell the store."""
    return journal.can_go_on or bool(journal.finished and journal.pending and not offline)
