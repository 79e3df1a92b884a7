"""From finished runs to a comparison: one data set, one split, one teacher or one for each seed."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from kdflow.analysis.arms import numbered
from kdflow.analysis.comparison import CURVES, DRAWN, Comparison
from kdflow.analysis.lines import costs, table, teachers_of
from kdflow.analysis.records import is_of, role, seed_of, unusable
from kdflow.analysis.students import choose
from kdflow.analysis.teachers import with_most_students
from kdflow.common.errors import KdflowError, TeacherError
from kdflow.config import CompareConfig
from kdflow.evaluation.metrics import curves, drawn
from kdflow.journal.entries import TEACHER
from kdflow.journal.journal import DIVERGED, Journal
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from kdflow.tracking.surroundings import SIGNATURE_TAG

if TYPE_CHECKING:
    from pandas import DataFrame, Series

CURVES_READ = 100
"""Of how many runs every epoch is read at the most, where arms have several seeds."""
TABLE = ("run_id", "role", "problem", "data_digest", "split_digest", "teacher", "record")


def find(
    config: CompareConfig, runs: Runs, *, taught_by: Collection[str] = (), known_by: Collection[str] = ()
) -> Comparison:
    """Chooses which finished runs can be compared, and says in footnotes what was left out.

    Without a named teacher, the newest student decides on data and split, and it is their teacher with the most
    students; teachers that differ in nothing but the seed count as one. Students of alpha = 1 have no teacher; those
    are taken that differ from a student of these teachers in the loss alone: same data, split, seed and recipe.

    Args:
        config: What is asked for.
        runs: Where to look.
        taught_by: Run ids of the teachers, where they are known to be right, even if they are not found.
        known_by: The signatures of the students of a study, where only those are to be compared.

    Raises:
        KdflowError: there is nothing to compare.
        TeacherError: the teacher that was named cannot be used.
    """
    found = _table(runs.runs("teacher", "student"))
    left_out = Counter(found.loc[found["problem"] != "", "problem"]) + Counter(
        {"deleted": runs.deleted("teacher", "student")}
    )
    finished = found[found["problem"] == ""]
    wanted = finished[[not config.dataset or is_of(record, config.dataset) for record in finished["record"]]]
    if wanted.empty:
        raise _nothing(config.dataset, finished, runs)
    teacher_ids = tuple(taught_by) or _choose_teachers(wanted, config, runs)
    is_teacher = finished["run_id"].isin(teacher_ids)
    reference = (finished[is_teacher] if is_teacher.any() else wanted[wanted["role"] == "student"]).iloc[0]
    alike = _same_data(finished, reference)
    left_out["on other data or another split"] = int((~alike).sum())
    left_out["of another teacher"] = int((alike & (finished["role"] == "teacher") & ~is_teacher).sum())
    teachers = sorted(finished.loc[is_teacher, "record"], key=seed_of)
    others = list(finished.loc[alike & (finished["role"] == "student") & ~is_teacher, "record"])
    if known_by:
        own = [one for one in others if one.tags.get(SIGNATURE_TAG) in known_by]
        left_out["of other studies"] = len(others) - len(own)
        others = own
    students = choose(others, teacher_ids, teachers)
    lines = table(teachers, students.records)
    read = _newest([*finished.loc[is_teacher, "run_id"], *(one.run_id for one in students.records)], lines)
    names = drawn() if DRAWN < len(read) < len(lines) else curves()
    missing = [one for one in teacher_ids if one not in set(finished["run_id"])]
    return Comparison(
        reference["record"].tags["kdflow.data"],
        reference["data_digest"],
        reference["split_digest"],
        lines,
        _curves(read, names, [*teachers, *students.records], runs),
        _footnotes(left_out + students.left_out, missing, students.records, lines, read, runs),
        _validation(reference["record"]),
        students.baselines,
        teachers_of(teachers, students.records),
        costs([*teachers, *students.records]),
    )


def _table(records: list[Record]) -> "DataFrame":
    """One line a record, newest first; what does not apply is None."""
    from pandas import DataFrame

    lines = [
        (
            record.run_id,
            role(record),
            unusable(record) or "",
            record.tags.get("kdflow.data_digest"),
            record.tags.get("kdflow.split_digest"),
            record.tags.get(TEACHER),
            record,
        )
        for record in records
    ]
    return DataFrame(lines, columns=TABLE).astype({"teacher": object, "problem": object})


def _same_data(found: "DataFrame", reference: "Series") -> "Series":
    return (found["data_digest"] == reference["data_digest"]) & (found["split_digest"] == reference["split_digest"])


def _nothing(dataset: str, finished: "DataFrame", runs: Runs) -> KdflowError:
    known = ", ".join(sorted({record.tags["kdflow.data"] for record in finished["record"]})) or "nothing yet"
    return KdflowError(
        f"no finished training run{' on ' * bool(dataset)}{dataset} in {runs.place} (there are runs on {known}): "
        "begin with `kdflow study` or `kdflow teacher`"
    )


def _choose_teachers(wanted: "DataFrame", config: CompareConfig, runs: Runs) -> tuple[str, ...]:
    if config.teacher:
        named = runs.resolve_run(Journal.id_for(Path(config.keeping.runs_dir), config.teacher))
        if named not in set(wanted["run_id"]):
            raise TeacherError(f"--teacher {config.teacher}: it is not a finished kdflow teacher")
        return (named,)
    students = wanted[wanted["role"] == "student"]
    return with_most_students(wanted[_same_data(wanted, (wanted if students.empty else students).iloc[0])])


def _newest(run_ids: list[str], lines: "DataFrame") -> list[str]:
    """The runs of which figures show every epoch, in the order of their lines: of the newest arms the newest seeds."""
    arms: dict[int, list[str]] = {}
    number = dict(zip(lines["run_id"], numbered(lines), strict=True))
    for run_id in run_ids:
        arms.setdefault(number[run_id], []).append(run_id)
    shown = list(arms.values())[:DRAWN]
    chosen = {run_id for arm in shown for run_id in arm[: CURVES_READ // len(shown)]}
    return [run_id for run_id in lines["run_id"] if run_id in chosen]


def _curves(run_ids: list[str], names: Collection[str], records: list[Record], runs: Runs) -> "DataFrame":
    """Every epoch of some runs: some metrics, as far as they have them."""
    from pandas import DataFrame

    metrics = {record.run_id: record.metrics for record in records}
    kept = [
        (run_id, metric, epoch, value)
        for run_id in run_ids
        for metric, values in runs.history(run_id, [name for name in names if name in metrics[run_id]]).items()
        for epoch, value in enumerate(values, start=1)
    ]
    return DataFrame(kept, columns=list(CURVES))


def _footnotes(
    left_out: Counter[str],
    missing: list[str],
    students: list[Record],
    lines: "DataFrame",
    read: list[str],
    runs: Runs,
) -> tuple[str, ...]:
    footnotes = [f"Left out: {n} run{'s' * (n > 1)} {why}." for why, n in left_out.items() if n]
    if missing:
        who = "teacher, run" if len(missing) == 1 else "teachers, runs"
        footnotes.append(f"The {who} {', '.join(missing)}, {'is' if len(missing) == 1 else 'are'} not in {runs.place}.")
    if diverged := sum(DIVERGED in record.tags for record in students):
        footnotes.append(
            f"Ended near chance: {diverged} run{'s' * (diverged > 1)}; try a lower learning rate or a larger alpha."
        )
    numbers = dict(zip(lines["run_id"], numbered(lines), strict=True))
    arms, drawn = max(numbers.values(), default=-1) + 1, {numbers[run_id] for run_id in read}
    if arms > DRAWN:
        kind = "runs" if arms == len(lines) else "arms"
        footnotes.append(f"Figures show the {DRAWN} newest {kind} of {arms}.")
    if len(read) < sum(number in drawn for number in numbers.values()):
        footnotes.append(f"Curves are means over the {CURVES_READ // len(drawn)} newest seeds of each arm.")
    return tuple(footnotes)


def _validation(record: Record) -> str:
    """The same for all, as the split is; runs of before there was the tag know only whether."""
    unsaid = "augmented" if record.params.get("augment_val") == "true" else ""
    return record.tags.get("kdflow.validation", unsaid)
