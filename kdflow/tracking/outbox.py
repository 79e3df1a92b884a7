"""What waits to be told to the store. Training never waits long for it, and never ends because of it."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kdflow.common.console import say, warn
from kdflow.common.errors import TrackingError
from kdflow.common.mlflow_project import typed
from kdflow.common.text import redact
from kdflow.journal.journal import Journal
from kdflow.tracking import carried
from kdflow.tracking.address import uri
from kdflow.tracking.client import quieted
from kdflow.tracking.delivery import deliver, reason_of
from kdflow.tracking.patience import addressed, bounded, impatient, require_unlocked
from kdflow.tracking.refusals import is_refusal, may_pass
from kdflow.tracking.surroundings import Surroundings
from kdflow.tracking.trouble import failure

EPOCH_PATIENCE = 5.0
"""Seconds that an epoch may wait for the store, all together."""
END_PATIENCE = 20.0
"""Seconds that the end of a command may wait for the store."""
PAUSE = 15.0
"""Seconds between attempts of epochs while the store cannot be used."""
BREATH = 2.0
"""Seconds between attempts at the end."""


class Outbox:
    """Writes entries into a journal and tells them to the store, in order, as far as it can be used.

    Args:
        journal: Of the command.
        offline: Tell nothing; `kdflow sync` will.
        around: What the command's own run finds.
        is_carried: Whether the store is given what another machine needs to go on.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        offline: bool = False,
        around: Surroundings = Surroundings(),  # noqa: B008 - frozen
        is_carried: bool = False,
    ) -> None:
        self.journal = journal
        self.offline = offline
        self.around = around
        self._is_carried = is_carried
        self._trouble: str | None = None
        self._warned: set[str] = set()
        self._may_pass: set[str] = set()  # kinds of entries that a failing server refused
        if not offline:
            journal.tell_refused_again()
        self._next_attempt = 0.0
        self._end_patience = END_PATIENCE

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
        if "create" in self._may_pass:  # without it, nothing of the run can be told
            self._tell_refused_again()
        self._attempt(time.monotonic() + EPOCH_PATIENCE, hurried=True)
        if self.journal.untold or "create" in self._may_pass:
            self._next_attempt = time.monotonic() + PAUSE

    def settle(self, *, within: float = END_PATIENCE) -> bool:
        """Tells the store everything, with several attempts; gives whether it has everything.

        Args:
            within: Seconds to wait in vain at the most. Once this much was waited, it is not waited again.
        """
        hurried = within < END_PATIENCE
        until = time.monotonic() + min(within, self._end_patience)
        while not self.offline and not (self._attempt(math.inf, hurried=hurried) and not self._may_pass):
            if time.monotonic() + BREATH > until:
                self._end_patience = 0.0
                break
            time.sleep(BREATH)
            if self._may_pass:
                self._tell_refused_again()
        return not self.journal.pending

    def require_told(self) -> None:
        """Makes sure that the store has everything; what it refused is tried once more.

        Raises:
            TrackingError: it does not, for whatever reason but being offline.
        """
        if self.offline:
            return
        self._tell_refused_again()
        if not self.settle():
            reasons = dict.fromkeys(filter(None, [self._trouble, *self.journal.refused.values()]))
            once = "the store can be used again" if self.journal.untold else "that is mended"
            raise TrackingError(
                f"{redact(uri())} does not have everything ({'; '.join(reasons)}); nothing is lost: "
                f"{self.journal.pending} entries are kept in {self.journal.folder}; once {once}, "
                f"run `{typed(self.journal.sync_command)}`"
            )

    def carry(self) -> None:
        """Gives the store what another machine needs to go on from here, where that is asked for.

        Raises:
            KdflowError: another process has taken the command over.
        """
        if self._is_carried and not self.in_trouble:
            carried.send(self.journal)

    def put_down(self) -> None:
        """Takes that from the store again, as there is nothing left to go on with."""
        if self._is_carried:
            carried.drop(self.journal)

    @property
    def in_trouble(self) -> bool:
        """Whether the store could not be used of late, refused something, or is not to be used at all."""
        return self.offline or self._trouble is not None or bool(self.journal.refused)

    def _attempt(self, until: float, *, hurried: bool) -> bool:
        """Tells the store what it does not have yet, one by one until then; gives whether nothing went wrong."""
        try:
            with _impatient() if hurried else bounded(), addressed(), quieted(logging.CRITICAL):  # it is told below
                while self.journal.untold and time.monotonic() < until:
                    self._tell_one()
        except Exception as error:  # whatever the store, its clients or a model's export run into, training goes on
            self._note(failure(error))
            return False
        return True

    def _tell_one(self) -> None:
        self._settle_in(redact(uri()))
        entry = self.journal.entries[self.journal.delivered]
        try:
            deliver(entry, self.journal)
        except Exception as error:
            if not is_refusal(error):
                raise
            if may_pass(error):
                self._may_pass.add(entry["kind"])
            self._refused(reason_of(error, entry, self.journal))
        else:
            self.journal.mark_delivered()
        if self._trouble and not self.journal.untold:
            has = "has everything" if not self.journal.refused else "has everything but what it refused"
            say(f"The MLflow store {redact(uri())} can be used again and {has}.", vital=True)
            self._trouble = None

    def _tell_refused_again(self) -> None:
        self._may_pass.clear()
        self.journal.tell_refused_again()

    def _refused(self, reason: str) -> None:
        """Keeps what the store refuses, so that it holds nothing else up; warns once of each reason."""
        self.journal.mark_refused(reason)
        if reason and reason not in self._warned:
            self._warned.add(reason)
            warn(
                f"the MLflow store {redact(uri())} refuses a part of the run ({reason}). The rest is told; "
                f"what is refused is kept in {self.journal.folder}."
            )

    def _settle_in(self, store: str) -> None:
        """What was begun offline belongs to the store that is told first; a store may have another address by now."""
        if self.journal.started["store"] != store:
            self.journal.started["store"] = store
            self.journal.keep_started()

    def _note(self, reason: str) -> None:
        """Warns, once each time that the store goes away."""
        if self._trouble is None:
            warn(
                f"the MLflow store {redact(uri())} cannot be used ({reason}). Training goes on; what it "
                f"misses is kept in {self.journal.folder} and told when it is back."
            )
        self._trouble = reason


@contextmanager
def _impatient() -> Iterator[None]:
    """Within this, a store that is silent or locked is given up after a few seconds."""
    with impatient(EPOCH_PATIENCE):
        require_unlocked(EPOCH_PATIENCE)
        yield
