"""Which students are compared: those of some teachers, and those of labels that differ in the loss alone."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from kdflow.analysis.records import LOSS, idle, number, seed_of, settings_of
from kdflow.config import needs_teacher
from kdflow.journal.entries import TEACHER
from kdflow.tracking.record import Record


@dataclass(frozen=True)
class Students:
    """Students that can be compared.

    Attributes:
        records: Newest first.
        baselines: Run id of each to that of the alpha = 1 student of the same seed and recipe, where there is one.
        left_out: How many were left out, by reason.
    """

    records: list[Record]
    baselines: dict[str, str]
    left_out: Counter[str]


def choose(students: Iterable[Record], teacher_ids: Collection[str], teachers: Iterable[Record]) -> Students:
    """Chooses those of some teachers, and those of labels that differ from one of them in nothing else.

    Of students of one seed with the same settings, that of the teacher of its own seed is taken, or else the newest.

    Args:
        students: Finished ones on the same data and split, newest first.
        teacher_ids: Run ids of the teachers.
        teachers: Those that were found.
    """
    students, seeds = list(students), {one.run_id: seed_of(one) for one in teachers}
    recipes = {one.run_id: settings_of(one, without=LOSS) for one in students}
    taught = [one for one in students if one.tags.get(TEACHER) in teacher_ids]
    alone = [one for one in students if TEACHER not in one.tags]
    known = {recipes[one.run_id] for one in taught}
    fitting = taught + [one for one in alone if recipes[one.run_id] in known or not taught]
    settings = {one.run_id: settings_of(one, without=idle(one)) for one in fitting}
    kept: dict[object, Record] = {}
    for one in sorted(fitting, key=lambda one: seeds.get(one.tags.get(TEACHER, "")) != seed_of(one)):
        kept.setdefault(settings[one.run_id], one)
    ids = {one.run_id for one in kept.values()}
    of_others = [one for one in fitting if one.tags.get(TEACHER) != kept[settings[one.run_id]].tags.get(TEACHER)]
    records = [one for one in students if one.run_id in ids]
    of_labels = {recipes[one.run_id]: one.run_id for one in records if not needs_teacher(number(one, "alpha"))}
    return Students(
        records,
        {
            one.run_id: of_labels[recipes[one.run_id]]
            for one in records
            if needs_teacher(number(one, "alpha")) and recipes[one.run_id] in of_labels
        },
        Counter(
            {
                "of another teacher": len(students) - len(taught) - len(alone) + len(of_others),
                "with alpha = 1 and another seed or recipe": len(alone) + len(taught) - len(fitting),
                "older than a run with the same settings": len(fitting) - len(kept) - len(of_others),
            }
        ),
    )
