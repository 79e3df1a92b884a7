"""Which of the models of one name is champion: of the newest data and split, the best on validation."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from kdflow.tracking.record import Record

CHAMPION = "champion"
DIGESTS = ("kdflow.data_digest", "kdflow.split_digest")
"""Tags of runs and versions: what they saw."""


@dataclass(frozen=True)
class Candidate:
    """A finished run whose model goes by the name.

    Attributes:
        run_id: Of MLflow; the run's key where no store has it yet.
        started: When training began, in milliseconds since 1970; when the store was told has no say.
        val_accuracy: Final, a fraction.
        data: Digest of the data, and of the split; accuracies of others do not compare.
        version: Of the registered model; empty where there is none yet.
    """

    run_id: str
    started: int
    val_accuracy: float
    data: tuple[str, str]
    version: str = ""

    @property
    def own_alias(self) -> str:
        """Of the best of these data and this split, whatever is newer."""
        return f"{CHAMPION}-{self.data[0][:8]}-{self.data[1][:8]}"


def sound(score: object) -> float:
    """A score as a number; worse than any score where nothing sound is noted."""
    try:
        number = float(str(score))
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else -math.inf


def best_first(candidates: Iterable[Candidate], data: tuple[str, str]) -> list[Candidate]:
    """Those of the same data and split, the champion first; of equals, the one that began first."""
    same = (one for one in candidates if one.data == data)
    return sorted(same, key=lambda one: (-one.val_accuracy, one.started, one.run_id))


def newest_first(candidates: Iterable[Candidate]) -> list[Candidate]:
    """All of them by their begin, whose data and split are the newest first."""
    return sorted(candidates, key=lambda one: (one.started, one.data), reverse=True)


def candidates(records: Iterable[Record]) -> list[Candidate]:
    """The finished ones among runs that are read back."""
    return [
        Candidate(
            one.run_id,
            one.started,
            sound(one.metrics.get("final/val_accuracy")),
            (one.tags[DIGESTS[0]], one.tags[DIGESTS[1]]),
        )
        for one in records
        if one.status == "FINISHED" and set(DIGESTS) <= one.tags.keys()
    ]
