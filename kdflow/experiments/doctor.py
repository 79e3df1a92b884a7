"""`kdflow doctor`: what can go on is listed, runs that nobody works on any more are closed, moved stores are mended.

A store of another version of MLflow is told with what to do about it.
"""

from pathlib import Path

from kdflow.common import process
from kdflow.common.console import say
from kdflow.common.errors import TrackingError
from kdflow.common.text import redact
from kdflow.config import DoctorConfig
from kdflow.journal.journal import Journal
from kdflow.tracking import relocation, store_glance


def run_doctor(config: DoctorConfig) -> None:
    """Says which runs can be gone on with, and closes those that the store has as running, but whose process is dead.

    Runs of other machines are listed and left alone, as are those that `mlflow run` made and kdflow never reached.

    Raises:
        TrackingError: the store cannot be used, has the tables of another MLflow, or is to be relocated and is no
            sqlite file.
    """
    if config.relocate:
        _relocate()
    for journal in Journal.every(Path(config.runs_dir)):
        if journal.is_in_use:
            continue
        if journal.pending:
            reasons = "; ".join(dict.fromkeys(filter(None, journal.refused.values())))
            why = f" (it refused them: {reasons})" * bool(reasons)
            say(f"{journal.key}: {journal.pending} entries wait for the store{why}; run `{journal.sync_command}`")
        if journal.can_go_on:
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
    from kdflow.tracking.schema import other_version
    from kdflow.tracking.store_answer import require_tables, server_version

    require_tables()
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
    if (version := server_version()) and (said := other_version(version)):
        say(said)


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
