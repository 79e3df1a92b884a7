"""From finished runs to a comparison: one data set, one split, one teacher."""

from collections import Counter

from kdflow import report, tracking
from kdflow.config import CompareConfig
from kdflow.distillers import distillers
from kdflow.errors import KdflowError, TeacherError
from kdflow.progress import console
from kdflow.rows import CURVES, Comparison, Row
from kdflow.tracking import Record, Run

FINAL = ("final/train_accuracy", "final/val_accuracy", "final/test_accuracy")
# Settings that change where a run computes or finds its input, not what it is.
INCIDENTAL = {"teacher", "dataset", "data_dir", "threads", "device"}
WITHOUT_EFFECT_AT_ALPHA_1 = {"distiller", "temperature", "knobs"}
LOSS = {"alpha"} | WITHOUT_EFFECT_AT_ALPHA_1


def find(config: CompareConfig) -> Comparison:
    """Chooses which finished runs can be compared, and says in footnotes what was left out.

    Without a named teacher, the newest student decides on data and teacher. Students of alpha = 1 have no teacher;
    those are taken that differ from a student of this teacher in the loss alone: same data, split, seed and recipe.

    Raises:
        KdflowError: there is nothing to compare.
        TeacherError: the teacher that was named cannot be used.
    """
    named = tracking.resolve_run(config.teacher) if config.teacher else None
    records = tracking.training_runs()
    finished = [record for record in records if _is_complete(record)]
    left_out = Counter({"unfinished": len(records) - len(finished)})
    wanted = [record for record in finished if config.dataset in ("", record.tags["kdflow.data"])]
    teacher = _choose_teacher(wanted, named)
    reference = teacher or next((record for record in wanted if _role(record) == "student"), None)
    if reference is None:
        where = f" on {config.dataset}" if config.dataset else ""
        store = tracking.redact(tracking.uri())
        raise KdflowError(f"no finished training run{where} in {store}: begin with `kdflow study` or `kdflow teacher`")
    same_data = [record for record in finished if _data(record) == _data(reference)]
    left_out["on other data or another split"] = len(finished) - len(same_data)
    students = [record for record in same_data if _role(record) == "student"]
    chosen, reasons = _choose_students(students, teacher)
    left_out += reasons
    left_out["of another teacher"] += sum(_role(record) == "teacher" for record in same_data) - (teacher is not None)
    ordered = sorted(
        chosen, key=lambda record: (-_number(record, "alpha"), _number(record, "temperature"), record.started)
    )
    rows = [_row(record, teacher) for record in ([teacher] if teacher else []) + ordered]
    footnotes = tuple(f"Left out: {count} run{'s' * (count > 1)} {why}." for why, count in left_out.items() if count)
    return Comparison(reference.tags["kdflow.data"], *_data(reference), tuple(rows), footnotes)


def log(comparison: Comparison, *, parent: Run | None = None) -> Comparison:
    """Logs tables and figures as the artifacts of a compare run, and prints the table."""
    tags = {
        "kdflow.data": comparison.dataset,
        "kdflow.data_digest": comparison.data_digest,
        "kdflow.split_digest": comparison.split_digest,
    }
    with Run("compare", f"compare {comparison.dataset}", parent=parent, tags=tags) as run:
        run.text(report.markdown(comparison), "comparison.md")
        run.text(report.csv_text(comparison), "comparison.csv")
        run.text(report.json_text(comparison), "comparison.json")
        run.figure(report.loss_curves(comparison), "loss_curves.png")
        run.figure(report.accuracy_bars(comparison), "accuracy.png")
    console.print(report.table(comparison))
    console.print(f"Table and figures: {run.artifacts()}", markup=False)
    console.print(f"Browse all runs: make ui, then {run.charts()}", markup=False)
    return comparison


def _choose_teacher(records: list[Record], named: str | None) -> Record | None:
    by_id = {record.run_id: record for record in records}
    if named:
        if named not in by_id or _role(by_id[named]) != "teacher":
            raise TeacherError(f"--teacher {named}: it is not a finished kdflow teacher")
        return by_id[named]
    students = [record for record in records if _role(record) == "student"]
    if students and (taught_by := students[0].tags.get("kdflow.teacher_run_id")):
        return by_id.get(taught_by)
    teachers = [record for record in records if _role(record) == "teacher"]
    return next((record for record in teachers if not students or _data(record) == _data(students[0])), None)


def _choose_students(students: list[Record], teacher: Record | None) -> tuple[list[Record], Counter[str]]:
    left_out: Counter[str] = Counter()
    taught = [record for record in students if teacher and record.tags.get("kdflow.teacher_run_id") == teacher.run_id]
    recipes = {_settings(record, without=LOSS) for record in taught}
    chosen: dict[tuple[tuple[str, str], ...], Record] = {}
    for record in students:
        alone = "kdflow.teacher_run_id" not in record.tags
        if record not in taught and not alone:
            left_out["of another teacher"] += 1
        elif alone and recipes and _settings(record, without=LOSS) not in recipes:
            left_out["with alpha = 1 and another seed or recipe"] += 1
        elif (settings := _settings(record, without=_without_effect(record))) in chosen:
            left_out["older than a run with the same settings"] += 1
        else:
            chosen[settings] = record
    return list(chosen.values()), left_out


def _row(record: Record, teacher: Record | None) -> Row:
    params, metrics = record.params, record.metrics
    is_student = _role(record) == "student"
    alpha = _number(record, "alpha") if is_student else None
    distiller = params["distiller"] if is_student and alpha != 1 else None
    softened = distiller is not None and "temperature" in distillers[distiller].knobs
    train, val, test = (metrics[name] for name in FINAL)
    return Row(
        run_id=record.run_id,
        role=_role(record),
        model=params["model"],
        alpha=alpha,
        distiller=distiller,
        temperature=_number(record, "temperature") if softened else None,
        seed=int(_number(record, "seed")),
        epochs=int(_number(record, "epochs")),
        parameters=int(metrics["model/parameters"]),
        train_accuracy=train,
        val_accuracy=val,
        test_accuracy=test,
        gap=test - teacher.metrics[FINAL[2]] if teacher and is_student else None,
        history=tracking.histories(record.run_id, [name for name in CURVES if name in metrics]),
    )


def _is_complete(record: Record) -> bool:
    return record.status == "FINISHED" and all(name in record.metrics for name in FINAL)


def _role(record: Record) -> str:
    return record.tags["kdflow.role"]


def _data(record: Record) -> tuple[str, str]:
    return record.tags["kdflow.data_digest"], record.tags["kdflow.split_digest"]


def _number(record: Record, param: str) -> float:
    return float(record.params[param])


def _without_effect(record: Record) -> set[str]:
    return WITHOUT_EFFECT_AT_ALPHA_1 if _number(record, "alpha") == 1 else set()


def _settings(record: Record, *, without: set[str]) -> tuple[tuple[str, str], ...]:
    ignored = INCIDENTAL | without
    return tuple(sorted((name, _plain(value)) for name, value in record.params.items() if name not in ignored))


def _plain(value: str) -> str:
    try:
        return str(float(value))
    except ValueError:
        return value
