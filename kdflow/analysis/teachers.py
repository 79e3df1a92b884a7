"""Whose students are compared: teachers that differ in nothing but the seed, one for each seed."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from kdflow.analysis.records import role, seed_of, settings_of
from kdflow.journal.entries import TEACHER
from kdflow.tracking.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame


def with_most_students(seen: "DataFrame") -> tuple[str, ...]:
    """Returns the run ids of the teachers of one recipe that have the most students together; empty if there is none.

    Of equals, whether groups or teachers of one seed, the newest is taken. A teacher that is gone is a group by itself:
    better than one without students, worse than any other. Who has no students is in the group only if nobody has.

    Args:
        seen: Finished runs on the same data and split, newest first (see `kdflow.analysis.selection`).
    """
    counts = dict(seen.loc[seen["role"] == "student", "teacher"].value_counts())
    there = seen[(seen["role"] == "teacher") | seen["run_id"].isin(list(counts))]
    gone = [run_id for run_id in dict.fromkeys(seen["teacher"].dropna()) if run_id not in set(there["run_id"])]
    candidates = [(record.run_id, _recipe(record), seed_of(record)) for record in there["record"]]
    candidates += [(run_id, run_id, 0) for run_id in gone]
    places = {run_id: place for place, (run_id, _, _) in enumerate(candidates)}
    groups: dict[Hashable, dict[int, str]] = {}
    for run_id, recipe, seed in candidates:
        group = groups.setdefault(recipe, {})
        if counts.get(run_id, 0) > counts.get(group.setdefault(seed, run_id), 0):
            group[seed] = run_id

    def rank(group: dict[int, str]) -> tuple[bool, bool, int, int]:
        students = sum(counts.get(run_id, 0) for run_id in group.values())
        newest = min(places[run_id] for run_id in group.values() if run_id in counts or not students)
        return bool(students), not set(group.values()) <= set(gone), students, -newest

    chosen = max(groups.values(), key=rank, default={})
    return tuple(run_id for run_id in chosen.values() if run_id in counts) or tuple(chosen.values())


def _recipe(record: Record) -> Hashable:
    """Equal for teachers that differ in nothing but the seed; of students that teach, also by whom they were taught."""
    return role(record), record.tags.get(TEACHER), settings_of(record, without={"seed"})
