"""What a user may call a run by: the addresses that MLflow has, its id, the beginning of its id."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from kdflow.common.errors import TeacherError
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record

SIGNATURE = "signature:"
"""Begins a reference to whichever finished run is known by a signature, as jobs name their teacher."""
LATEST = "latest"
LOGGED = re.compile(r"m-[0-9a-f]{32}")
SHORTEST = 4
"""Characters that the beginning of a run id must have at the least."""
LISTED = 5


@dataclass(frozen=True)
class Reference:
    """What a text refers to: a registered model, a logged model or a run.

    Attributes:
        text: As the user gave it.
        name: Of a registered model; else None.
        version: Its number, "latest", or a stage; empty with an alias, or where the name alone is given.
        alias: Of a version; None if none is given.
        logged: The id of a logged model; else empty.
        run: A run id, or the beginning of one; else empty.
        signature: What the run is known by; else empty.
    """

    text: str
    name: str | None = None
    version: str = ""
    alias: str | None = None
    logged: str = ""
    run: str = ""
    signature: str = ""

    @classmethod
    def read(cls, text: str) -> "Reference":
        """Takes a text apart, whether there is such a thing or not."""
        if text.startswith("runs:/"):
            return cls(text, run=text.removeprefix("runs:/").partition("/")[0])
        if text.startswith(SIGNATURE):
            return cls(text, signature=text.removeprefix(SIGNATURE))
        if not text.startswith("models:/"):
            return cls(text, run=text)
        name = text.removeprefix("models:/")
        if LOGGED.fullmatch(name):
            return cls(text, logged=name)
        if "@" in name:
            name, _, alias = name.rpartition("@")
            return cls(text, name=name, alias=alias)
        name, _, version = name.partition("/")
        return cls(text, name=name, version=version)

    @property
    def of_model(self) -> bool:
        """Whether it refers to a model, by which its run can be found."""
        return self.name is not None or bool(self.logged)

    def refused(self, reason: str) -> TeacherError:
        """The error that says why it cannot be used."""
        return TeacherError(f"--teacher {self.text}: {reason}")

    def finished(self, runs: Runs) -> str:
        """The newest finished run of the signature.

        Raises:
            TeacherError: there is none.
        """
        if found := runs.finished([self.signature]):
            return found[0].run_id
        raise self.refused(f"no finished run of this signature is in {runs.place}")

    def find(self, records: Iterable[Record]) -> str | None:
        """The one run whose id begins like this; None if there is none.

        Raises:
            TeacherError: there are several.
        """
        if len(self.run) < SHORTEST:
            raise self.refused(f"give a whole run id, or at least its first {SHORTEST} characters")
        found = [record for record in records if record.run_id.startswith(self.run)]
        if len(found) > 1:
            listed = ", ".join(f"{one.run_id} ({one.tags['kdflow.role']})" for one in found[:LISTED])
            more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
            raise self.refused(f"{len(found)} runs begin like that: {listed}{more}; give more of its id")
        return found[0].run_id if found else None
