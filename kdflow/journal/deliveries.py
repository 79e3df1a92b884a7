"""What the store has of a journal's entries: how many it was told, which it refused, which ids it gave."""

import json
import os
from contextlib import suppress
from pathlib import Path

from kdflow.common import files
from kdflow.journal.entries import Entries
from kdflow.journal.folders import read_delivered


class Deliveries(Entries):
    """Entries in their order, and what the store has of them, kept in `delivered.json`.

    Args:
        folder: Where it is kept.

    Attributes:
        delivered: How many entries the store was told; the next is that of this number.
        refused: Those of them that it refused, by number, with the reason; empty for what depends on another.
        ids: That the store gave, by the run's key.
        addresses: Of the registered model versions, by the run's key.
    """

    delivered: int
    refused: dict[int, str]
    ids: dict[str, str]
    addresses: dict[str, str]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self._tell_from_the_first()

    def read_delivered(self) -> None:
        """Reads what is noted; where that is not known, all is told again, to no effect."""
        noted = read_delivered(self.folder)
        self.ids, self.addresses = noted.get("ids", {}), noted.get("addresses", {})
        self.delivered = min(noted.get("count", 0), len(self.entries))
        self.refused = {int(number): str(reason) for number, reason in noted.get("refused", {}).items()}

    @property
    def untold(self) -> int:
        """How many entries the store was not told yet."""
        return len(self.entries) - self.delivered

    @property
    def pending(self) -> int:
        """How many entries the store does not have: it was not told yet, or it refused them."""
        return self.untold + len(self.refused)

    def id_of(self, key: str) -> str:
        """The id that the store gave a run, or its key until then."""
        return self.ids.get(key, key)

    def mark_delivered(self) -> None:
        """Notes that the store has one more entry. Were the note lost, that entry would be sent again, to no effect."""
        self.delivered += 1
        self._write()

    def mark_refused(self, reason: str) -> None:
        """Notes that the store refuses the next entry, which stays here to be told again."""
        self.refused[self.delivered] = reason
        self.mark_delivered()

    def tell_refused_again(self) -> None:
        """All from the first refused entry on counts as not told: in their order, for what came after builds on it."""
        self.delivered = min([self.delivered, *self.refused])
        self.refused = {}

    def tell_anew(self) -> None:
        """Nothing counts as told any more."""
        self._tell_from_the_first()
        self._write()

    def _tell_from_the_first(self) -> None:
        self.delivered, self.refused, self.ids, self.addresses = 0, {}, {}, {}

    def _write(self) -> None:
        note = {"count": self.delivered, "ids": self.ids, "addresses": self.addresses, "refused": self.refused}
        part = self.folder / f"delivered.json{files.PART}"
        with suppress(OSError):
            part.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
            os.replace(part, self.folder / "delivered.json")
