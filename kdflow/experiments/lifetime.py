"""The life of a command: it has a journal from its begin, and its runs an end whatever happens."""

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.errors import DivergedError, KdflowError
from kdflow.common.mlflow_project import how_to_go_on, typed
from kdflow.common.signals import Stopped
from kdflow.common.text import redact
from kdflow.config import KeepingConfig
from kdflow.experiments import descriptions
from kdflow.journal.journal import DIVERGED, Journal
from kdflow.tracking import links
from kdflow.tracking.address import uri
from kdflow.tracking.descriptions import RUN, shortened
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.surroundings import Surroundings

LAST_WORDS = 5.0
"""Seconds in which a command that fails may still tell the store so."""


@contextmanager
def begun(
    kind: str,
    keeping: KeepingConfig,
    facts: Mapping[str, object],
    around: Surroundings,
    stopped: Journal | None = None,
    *,
    known_by: str = "",
) -> Iterator[Outbox]:
    """Within this, a command has a journal; a failure leaves it as it is and says how to go on.

    Args:
        kind: "teacher", "student", "study" or "compare".
        keeping: Where to keep it.
        facts: What going on needs to know.
        around: What its own run finds.
        stopped: The journal of a command that is gone on with.
        known_by: The signature of a new one.

    Raises:
        KdflowError: the journal is in use, or cannot be written.
        TrackingError: at the end, the store does not have everything.
    """
    store = {"store": redact(uri())}
    journal = stopped or Journal.begin(Path(keeping.runs_dir), kind, {**facts, **store}, signature=known_by)
    with journal.locked():
        outbox = Outbox(journal, offline=keeping.offline, around=around, is_carried=keeping.is_carried)
        try:
            outbox.tell()
            with _full_disk_told(journal.folder):
                yield outbox
        except (Stopped, KeyboardInterrupt, Exception) as error:
            if isinstance(error, DivergedError):
                with suppress(KdflowError):  # on a full disk the first error is still the one to tell
                    outbox.write("tags", journal.key, tags={DIVERGED: "true"})
            _end_runs(outbox, "FAILED" if isinstance(error, Exception) else "KILLED")
            can_go_on = kind != "compare" and not isinstance(error, DivergedError)
            go_on = line_to_go_on(journal, keeping) if can_go_on else ""
            _tell_why(outbox, str(error) or "interrupted", go_on)
            outbox.settle(within=LAST_WORDS)
            if go_on:
                error.add_note(f"go on with: {go_on}")
            raise
        outbox.require_told()
        outbox.put_down()
        shutil.rmtree(journal.checkpoints, ignore_errors=True)  # nothing is left to go on with
        if page := links.page_of(journal.id) if not outbox.offline else "":
            say(f"In MLflow: {page}", vital=True)
        if outbox.offline:
            say(f"Kept in {journal.folder}; `{typed(journal.sync_command)}` tells the store.", vital=True)


def line_to_go_on(journal: Journal, keeping: KeepingConfig) -> str:
    """What to type to go on with a command that was stopped."""
    here = f"{journal.resume_command}{' --offline true' * keeping.offline}"
    return how_to_go_on(journal.started["kind"], journal.reference, keeping.runs_dir, here=here)


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """Where not even a folder can be made, Python says less than a user must know."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise files.unwritable(folder, error, needed=1) from error


def _end_runs(outbox: Outbox, status: str) -> None:
    """Ends the runs of a command that failed while one of them was being begun or ended."""
    for key in outbox.journal.open:
        with suppress(KdflowError):  # whatever cannot be kept is told all the same
            outbox.write("status", key, status=status)


def _tell_why(outbox: Outbox, why: str, go_on: str) -> None:
    """Says in the description of each run that broke off why it did."""
    journal = outbox.journal
    for key in journal.begun:
        if journal.status(key) in ("FAILED", "KILLED"):
            text = descriptions.of_end(journal.texts(key).get(RUN, ""), why, go_on)
            with suppress(KdflowError):  # the disk may be full
                outbox.write("describe", key, texts={RUN: shortened(text)})
