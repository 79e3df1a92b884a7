"""Looking after the store: what it missed is told, and runs that nobody works on any more are closed."""

import shutil
from pathlib import Path

from kdflow.common import process
from kdflow.common.console import say
from kdflow.common.errors import KdflowError, TrackingError
from kdflow.common.text import redact
from kdflow.config import DoctorConfig, SyncConfig
from kdflow.journal.journal import Journal
from kdflow.tracking import relocation, store_glance


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


def run_doctor(config: DoctorConfig) -> None:
    """Says which runs can be gone on with, and closes those that the store has as running, but whose process is dead.

    Runs of other machines are listed and left alone, as are those that `mlflow run` made and kdflow never reached.

    Raises:
        TrackingError: the store cannot be used, or is to be relocated and is no sqlite file.
    """
    if config.relocate:
        _relocate()
    for journal in Journal.every(Path(config.runs_dir)):
        if _is_in_use(journal):
            continue
        if journal.pending:
            reasons = "; ".join(dict.fromkeys(filter(None, journal.refused.values())))
            why = f" (it refused them: {reasons})" * bool(reasons)
            say(f"{journal.key}: {journal.pending} entries wait for the store{why}; run `{journal.sync_command}`")
        if not (journal.finished or journal.diverged or journal.started["kind"] == "compare"):
            say(f"{journal.key} can go on: {journal.resume_command}")
    _tell_moved()
    address = store_glance.store_address()
    if store_glance.is_idle(address):
        say(f"No run is open in {redact(address)}.")
    else:
        _close_open_runs()


def _close_open_runs() -> None:
    from kdflow.tracking.address import uri
    from kdflow.tracking.open_runs import close, open_runs

    found = open_runs()
    for run in found:
        alive = process.is_alive(run.process) if run.process else None
        if alive is False:
            close([run.run_id])
            say(f"{run.name}, run {run.run_id}: its process is dead; closed as KILLED")
        elif alive:
            say(f"{run.name}, run {run.run_id}: still running")
        elif run.process:
            say(f"{run.name}, run {run.run_id}: runs on {process.host_of(run.process)}; run `kdflow doctor` there")
        else:
            say(
                f"{run.name}, run {run.run_id}: made by `mlflow run`, which never began it; delete it if that has ended"
            )
    if not found:
        say(f"No run is open in {redact(uri())}.")


def _tell_moved() -> None:
    """Says whether the store finds its artifacts where they are."""
    file = _sqlite_file()
    if moved := relocation.moved(file) if file else {}:
        old, new = next(iter(moved.items()))
        say(f"The store was moved or copied: {len(moved)} places such as {old} are now as {new}; {relocation.MEND}")


def _relocate() -> None:
    """Lets the store find its artifacts where they are."""
    file = _sqlite_file()
    if file is None:
        from kdflow.tracking.address import uri

        store = redact(uri())
        raise TrackingError(f"--relocate: {store} is no sqlite file: where its artifacts are is for those who run it")
    relocated = relocation.relocate(file)
    if relocated is None:
        say("Nothing to relocate: no artifacts of the store lie beside it that it looks for elsewhere.")
        return
    before = " and ".join(map(str, relocated.old))
    say(f"Relocated: {relocated.count} addresses say {relocated.new} now, not {before}.")
    say(f"The database as it was: {relocated.backup}")


def _sqlite_file() -> Path | None:
    """The file of a sqlite store, asked of MLflow only where that is needed."""
    address = store_glance.store_address()
    if path := store_glance.sqlite_path(address):
        return path
    if address and not address.startswith("sqlite:"):
        return None
    from kdflow.tracking.address import sqlite_file

    return sqlite_file()


def _is_in_use(journal: Journal) -> bool:
    try:
        journal.require_unused()
    except KdflowError:
        return True
    return False
