"""What waits to be told to the store. Training never waits long for it, and never ends because of it."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from kdflow.console import say
from kdflow.errors import TrackingError
from kdflow.journal import Journal
from kdflow.tracking.delivery import deliver
from kdflow.tracking.store import TROUBLE, failure, redact, uri

EPOCH_PATIENCE = 5.0
"""Seconds that an epoch may wait for the store, all together."""
END_PATIENCE = 20.0
"""Seconds that the end of a command may wait for the store."""
PAUSE = 15.0
"""Seconds between attempts while the store cannot be used."""


class Outbox:
    """Writes entries into a journal and tells them to the store, in order, as far as it can be used.

    Args:
        journal: Of the command.
        offline: Tell nothing; `kdflow sync` will.
    """

    def __init__(self, journal: Journal, *, offline: bool = False) -> None:
        self.journal = journal
        self.offline = offline
        self._trouble: str | None = None
        self._next_attempt = 0.0

    def write(self, kind: str, run: str, **facts: Any) -> None:
        """Writes an entry down, and tells the store what it does not have yet.

        Raises:
            KdflowError: the disk is full, or the folder of the journal cannot be written to.
        """
        try:
            self.journal.append(kind, run, **facts)
        finally:
            self.tell()

    def tell(self) -> None:
        """Tells the store what it does not have yet, for a few seconds at the most."""
        if self.offline or time.monotonic() < self._next_attempt:
            return
        until = time.monotonic() + EPOCH_PATIENCE
        try:
            with _impatient():
                _require_unlocked()
                while self.journal.pending and time.monotonic() < until:
                    self._tell_one()
        except TROUBLE as error:
            self._note(failure(error))

    def settle(self, *, within: float = END_PATIENCE) -> bool:
        """Tells the store everything, with several attempts; gives whether it has everything."""
        until = time.monotonic() + within
        while self.journal.pending and not self.offline:
            try:
                while self.journal.pending:
                    self._tell_one()
            except TROUBLE as error:
                self._note(failure(error))
                if time.monotonic() + 2 > until:
                    break
                time.sleep(2)
        return not self.journal.pending

    def require_told(self) -> None:
        """Makes sure that the store has everything.

        Raises:
            TrackingError: it does not, for whatever reason but being offline.
        """
        if not self.offline and not self.settle():
            raise TrackingError(
                f"{redact(uri())} does not have everything ({self._trouble}); nothing is lost: "
                f"{self.journal.pending} entries are kept in {self.journal.folder}; once the store can be used again, "
                "run `kdflow sync`"
            )

    @property
    def in_trouble(self) -> bool:
        """Whether the store could not be used of late, or is not to be used at all."""
        return self.offline or self._trouble is not None

    def _tell_one(self) -> None:
        deliver(self.journal.entries[self.journal.delivered], self.journal)
        self.journal.mark_delivered()
        if self._trouble and not self.journal.pending:
            say(f"The MLflow store {redact(uri())} can be used again and has everything.")
            self._trouble = None

    def _note(self, reason: str) -> None:
        """Warns, once each time that the store goes away."""
        self._next_attempt = time.monotonic() + PAUSE
        if self._trouble is None:
            say(
                f"Warning: the MLflow store {redact(uri())} cannot be used ({reason}). Training goes on; what it "
                f"misses is kept in {self.journal.folder} and told when it is back."
            )
        self._trouble = reason


@contextmanager
def _impatient() -> Iterator[None]:
    """Within this, a silent server is given up after a few seconds, without a second attempt."""
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(int(EPOCH_PATIENCE)), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _require_unlocked() -> None:
    """MLflow would wait twenty seconds for a sqlite file that another process holds.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: it is locked for longer than an epoch may wait.
    """
    if uri().startswith("sqlite:") and (path := make_url(uri()).database):
        try:
            with closing(sqlite3.connect(path, timeout=EPOCH_PATIENCE)) as store:
                store.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise SQLAlchemyError(str(error)) from error
