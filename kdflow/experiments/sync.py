"""`kdflow sync`: the store is told what it missed."""

import shutil
from pathlib import Path

from kdflow.common.console import say
from kdflow.common.errors import KdflowError, TrackingError
from kdflow.config import SyncConfig
from kdflow.journal.journal import Journal


def run_sync(config: SyncConfig) -> None:
    """Tells the store what the journals have and it does not; those in use are left to their processes.

    Raises:
        TrackingError: the store cannot be used, or it did not take everything.
    """
    runs_dir = Path(config.runs_dir)
    if not runs_dir.is_dir():
        raise KdflowError(f"--runs-dir {runs_dir}: there is no such folder; name the one in which runs are kept")
    waiting = [journal for journal in Journal.every(runs_dir) if journal.pending]
    if not waiting:
        say(f"The store has everything that {runs_dir} keeps.")
        return
    from kdflow.tracking.checks import (  # it takes seconds to import, and here alone it is needed
        require_artifacts_in_place,
        require_store,
    )

    refused = 0
    for journal in _in_order_of_reference(waiting):
        require_store("start it, then run this again")
        require_artifacts_in_place()
        try:
            with journal.locked():
                _tell(journal, config.experiment)
        except TrackingError as error:  # what another journal has may be taken all the same
            refused += 1
            say(f"{journal.key}: {error}")
        except KdflowError as error:
            say(f"{journal.key} is left out: {error}")
    if refused:
        raise TrackingError(f"of {len(waiting)} runs, {refused} could not be told to the store; see above")


def _in_order_of_reference(journals: list[Journal]) -> list[Journal]:
    """Each after those whose runs its own refer to, whatever their names and times are; of a circle, one is first."""
    by_key = {journal.key: journal for journal in journals}
    ordered: dict[str, Journal] = {}

    def place(journal: Journal, above: set[str]) -> None:
        if journal.key in ordered:
            return
        for key in sorted(journal.refers_to & by_key.keys() - above):
            place(by_key[key], above | {key})
        ordered[journal.key] = journal

    for journal in journals:
        place(journal, {journal.key})
    return list(ordered.values())


def _tell(journal: Journal, experiment: str) -> None:
    from kdflow.tracking.open_runs import close
    from kdflow.tracking.outbox import Outbox
    from kdflow.tracking.presence import require_same_store

    if experiment:
        _move(journal, experiment)
    require_same_store(journal.ids.values(), journal.started["store"])
    try:
        Outbox(journal).require_told()
    finally:
        if journal.status(journal.key) == "RUNNING" and not journal.untold:
            close(run for key, run in journal.ids.items() if journal.status(key) == "RUNNING")
    if journal.finished:
        shutil.rmtree(journal.checkpoints, ignore_errors=True)  # nothing is left to go on with
    say(f"{journal.key}: the store has everything, as run {journal.id}")
    for key in sorted(journal.refers_to):
        if not (journal.folder.parent / key).is_dir():
            say(f"  it names {key}, which {journal.folder.parent} does not keep: the store has that as a name only")
    for address in journal.addresses.values():
        say(f"  registered as {address}")


def _move(journal: Journal, experiment: str) -> None:
    """What is kept goes to another experiment; a run that the store has, and could go on with, stays where it is.

    Raises:
        TrackingError: the experiment takes no runs.
    """
    from kdflow.tracking.checks import require_experiment
    from kdflow.tracking.presence import absence

    require_experiment(experiment)
    if journal.key in journal.ids and not absence(journal.id):
        say(f"{journal.key}: the store has its run {journal.id} already: it stays in its experiment")
    else:
        journal.move(experiment)
        journal.tell_anew()
