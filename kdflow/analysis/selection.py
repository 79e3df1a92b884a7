"""From finished runs to a comparison: one data set, one split, one teacher."""

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from kdflow.analysis.comparison import CURVES, FACTS, Comparison
from kdflow.analysis.records import (
    FINAL,
    LOSS,
    idle,
    is_number,
    is_of,
    is_softened,
    number,
    role,
    settings_of,
    temperature,
    unusable,
)
from kdflow.common.errors import KdflowError, TeacherError
from kdflow.config import CompareConfig, needs_teacher
from kdflow.evaluation.metrics import columns, curves
from kdflow.journal.journal import DIVERGED, Journal
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame, Series

DRAWN = 30
"""How many runs figures show at the most: more curves cannot be told apart, and to read them takes long."""
SHOWN = LOSS - {"knobs"} | {"seed", "epochs", "model"}
TABLE = (
    "run_id",
    "role",
    "problem",
    "data_digest",
    "split_digest",
    "teacher",
    "alpha",
    "temperature",
    "started",
    "record",
)


def find(config: CompareConfig, runs: Runs, *, taught_by: str = "") -> Comparison:
    """Chooses which finished runs can be compared, and says in footnotes what was left out.

    Without a named teacher, the newest student decides on data and split, and it is their teacher with the most
    students. Students of alpha = 1 have no teacher; those are taken that differ from a student of this teacher in the
    loss alone: same data, split, seed and recipe.

    Args:
        config: What is asked for.
        runs: Where to look.
        taught_by: Run id of the teacher, where it is known to be right, even if it is not found.

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
    teacher_id = taught_by or _choose_teacher(wanted, config, runs)
    is_teacher = finished["run_id"] == teacher_id
    reference = (finished[is_teacher] if is_teacher.any() else wanted[wanted["role"] == "student"]).iloc[0]
    alike = _same_data(finished, reference)
    left_out["on other data or another split"] = int((~alike).sum())
    left_out["of another teacher"] = int((alike & (finished["role"] == "teacher") & ~is_teacher).sum())
    students = finished[alike & (finished["role"] == "student") & ~is_teacher]
    chosen, reasons = _choose_students(students, teacher_id)
    lines = _lines(finished[is_teacher], chosen)
    return Comparison(
        reference["record"].tags["kdflow.data"],
        reference["data_digest"],
        reference["split_digest"],
        lines,
        _curves([*finished.loc[is_teacher, "run_id"], *chosen["run_id"]][:DRAWN], lines, finished, runs),
        _footnotes(left_out + reasons, teacher_id if not is_teacher.any() else None, chosen, lines, runs),
        _validation(reference["record"]),
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
            record.tags.get("kdflow.teacher_run_id"),
            number(record, "alpha") if is_number(record.params.get("alpha")) else math.nan,
            number(record, "temperature") if is_number(record.params.get("temperature")) else 0.0,
            record.started,
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


def _choose_teacher(wanted: "DataFrame", config: CompareConfig, runs: Runs) -> str | None:
    if config.teacher:
        named = runs.resolve_run(Journal.id_for(Path(config.keeping.runs_dir), config.teacher))
        if named not in set(wanted["run_id"]):
            raise TeacherError(f"--teacher {config.teacher}: it is not a finished kdflow teacher")
        return named
    students = wanted[wanted["role"] == "student"]
    seen = wanted[_same_data(wanted, (wanted if students.empty else students).iloc[0])]
    taught = seen.loc[seen["role"] == "student", "teacher"].value_counts()
    there = list(seen.loc[(seen["role"] == "teacher") | seen["run_id"].isin(taught.index), "run_id"])
    gone = [run_id for run_id in dict.fromkeys(seen["teacher"].dropna()) if run_id not in there]
    # Newest first: of equals, that is taken. One that is gone is better than one without students.
    ranks = {one: (one in taught.index, one in there, taught.get(one, 0)) for one in there + gone}
    return max(ranks, key=lambda run_id: ranks[run_id], default=None)


def _choose_students(students: "DataFrame", teacher_id: str | None) -> "tuple[DataFrame, Counter[str]]":
    """Those of a teacher, those of labels that differ in nothing else; of equals the newest."""
    taught = (students["teacher"] == teacher_id) & students["teacher"].notna()
    alone = students["teacher"].isna()
    recipes = students["record"].map(lambda record: settings_of(record, without=LOSS))
    fitting = taught | (alone & (recipes.isin(set(recipes[taught])) | (not taught.any())))
    settings = students["record"].map(lambda record: settings_of(record, without=idle(record)))
    repeated = fitting & settings.where(fitting).duplicated()
    reasons = {
        "of another teacher": ~(taught | alone),
        "with alpha = 1 and another seed or recipe": alone & ~fitting,
        "older than a run with the same settings": repeated,
    }
    return students[fitting & ~repeated], Counter({reason: int(which.sum()) for reason, which in reasons.items()})


def _lines(teacher: "DataFrame", students: "DataFrame") -> "DataFrame":
    """The runs of a comparison, the teacher first, then students by falling alpha."""
    from pandas import DataFrame

    ordered = students.sort_values(["alpha", "temperature", "started"], ascending=[False, True, True], kind="stable")
    teachers: list[Record] = list(teacher["record"])
    varying = _varying(list(ordered["record"]))
    lines = [_teacher_line(record) for record in teachers]
    lines += [_student_line(record, teachers[0] if teachers else None, varying) for record in ordered["record"]]
    more = [name.removeprefix("final/") for name in columns() if name not in FINAL]
    shown = [*FACTS, *(name for name in more if any(name in line for line in lines))]
    return DataFrame([[line.get(name) for name in shown] for line in lines], columns=shown, dtype=object)


def _teacher_line(record: Record) -> dict[str, object]:
    params, metrics = record.params, record.metrics
    return {
        "run_id": record.run_id,
        "role": "teacher",
        "model": params["model"],
        "seed": int(number(record, "seed")),
        "epochs": int(number(record, "epochs")),
        "settings": "",
        "parameters": int(metrics["model/parameters"]),
        **{name.removeprefix("final/"): metrics[name] for name in columns() if name in metrics},
    }


def _student_line(record: Record, teacher: Record | None, varying: list[str]) -> dict[str, object]:
    alpha, own = number(record, "alpha"), dict(settings_of(record, without=idle(record)))
    test = FINAL[2]
    return _teacher_line(record) | {
        "role": "student",
        "alpha": alpha,
        "distiller": record.params.get("distiller") if needs_teacher(alpha) else None,
        "temperature": (temperature(record) if is_softened(record) else None),
        "settings": ", ".join(f"{name}={own[name]}" for name in varying if own.get(name)),
        "gap": record.metrics[test] - teacher.metrics[test] if teacher else None,
    }


def _curves(newest: list[str], lines: "DataFrame", found: "DataFrame", runs: Runs) -> "DataFrame":
    """Every epoch of the newest runs, in the order of their lines."""
    from pandas import DataFrame

    metrics = {record.run_id: record.metrics for record in found["record"]}
    kept = []
    for run_id in lines["run_id"]:
        if run_id in newest:
            history = runs.history(run_id, [name for name in curves() if name in metrics[run_id]])
            kept += [
                (run_id, metric, epoch, value)
                for metric, values in history.items()
                for epoch, value in enumerate(values, start=1)
            ]
    return DataFrame(kept, columns=list(CURVES))


def _footnotes(
    left_out: Counter[str], missing: str | None, chosen: "DataFrame", lines: "DataFrame", runs: Runs
) -> tuple[str, ...]:
    footnotes = [f"Left out: {n} run{'s' * (n > 1)} {why}." for why, n in left_out.items() if n]
    if missing:
        footnotes.append(f"The teacher, run {missing}, is not in {runs.place}.")
    if diverged := sum(DIVERGED in record.tags for record in chosen["record"]):
        footnotes.append(
            f"Ended near chance: {diverged} run{'s' * (diverged > 1)}; try a lower learning rate or a larger alpha."
        )
    if len(lines) > DRAWN:
        footnotes.append(f"Figures show the {DRAWN} newest runs of {len(lines)}.")
    return tuple(footnotes)


def _validation(record: Record) -> str:
    """The same for all, as the split is; runs of before there was the tag know only whether."""
    unsaid = "augmented" if record.params.get("augment_val") == "true" else ""
    return record.tags.get("kdflow.validation", unsaid)


def _varying(students: list[Record]) -> list[str]:
    """The params, other than those with columns of their own, in which students differ."""
    settings = [dict(settings_of(record, without=SHOWN | idle(record))) for record in students]
    names = sorted({name for one in settings for name in one})
    return [name for name in names if len({one[name] for one in settings if name in one}) > 1]
