"""From finished runs to a comparison: one data set, one split, one teacher."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from kdflow.analysis.comparison import CURVES, Comparison, Row
from kdflow.common.errors import KdflowError, TeacherError, UsageError
from kdflow.config import CompareConfig, StudentConfig, options
from kdflow.config.option import show
from kdflow.data import lasting_name, short_name
from kdflow.distillers import distillers
from kdflow.journal.journal import DIVERGED, Journal
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from kdflow.training.identity import DISTILLING, TEACHERS, without_effect

DRAWN = 30
"""How many runs figures show at the most: more curves cannot be told apart, and to read them takes long."""
FINAL = ("final/train_accuracy", "final/val_accuracy", "final/test_accuracy")
OPTIONS = options(StudentConfig())
# What the params of a run say beyond where it computes and what it learns from.
INCIDENTAL = {name for name, spec in OPTIONS.items() if spec.incidental} | TEACHERS
LOSS = {"alpha"} | DISTILLING
NUMBERS = {"teacher": ("seed", "epochs"), "student": ("seed", "epochs", "alpha")}
SHOWN = LOSS - {"knobs"} | {"seed", "epochs", "model"}


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
    records = runs.runs("teacher", "student")
    unusable = {record.run_id: reason for record in records if (reason := _unusable(record))}
    finished = [record for record in records if record.run_id not in unusable]
    left_out = Counter(unusable.values()) + Counter({"deleted": runs.deleted("teacher", "student")})
    dataset = config.dataset
    wanted = [record for record in finished if not dataset or _is_of(record, dataset)]
    if not wanted:
        known = ", ".join(sorted({record.tags["kdflow.data"] for record in finished})) or "nothing yet"
        raise KdflowError(
            f"no finished training run{' on ' * bool(dataset)}{dataset} in {runs.place} (there are runs on {known}): "
            "begin with `kdflow study` or `kdflow teacher`"
        )
    teacher_id = taught_by or _choose_teacher(wanted, config, runs)
    teacher = next((record for record in finished if record.run_id == teacher_id), None)
    reference = teacher or next(record for record in wanted if _role(record) == "student")
    same_data = [record for record in finished if _data(record) == _data(reference)]
    left_out["on other data or another split"] = len(finished) - len(same_data)
    left_out["of another teacher"] = sum(_role(one) == "teacher" and one is not teacher for one in same_data)
    students = [record for record in same_data if _role(record) == "student" and record is not teacher]
    chosen, reasons = _choose_students(students, teacher_id)
    footnotes = [f"Left out: {n} run{'s' * (n > 1)} {why}." for why, n in (left_out + reasons).items() if n]
    if teacher_id and not teacher:
        footnotes.append(f"The teacher, run {teacher_id}, is not in {runs.place}.")
    if diverged := sum(DIVERGED in record.tags for record in chosen):
        footnotes.append(
            f"Ended near chance: {diverged} run{'s' * (diverged > 1)}; try a lower learning rate or a larger alpha."
        )
    rows = _rows(teacher, chosen, runs)
    if len(rows) > DRAWN:
        footnotes.append(f"Figures show the {DRAWN} newest runs of {len(rows)}.")
    # The same for all, as the split is; runs of before there was the tag know only whether.
    unsaid = "augmented" if reference.params.get("augment_val") == "true" else ""
    validation = reference.tags.get("kdflow.validation", unsaid)
    return Comparison(reference.tags["kdflow.data"], *_data(reference), rows, tuple(footnotes), validation)


def _choose_teacher(records: list[Record], config: CompareConfig, runs: Runs) -> str | None:
    teachers = [record for record in records if _role(record) == "teacher"]
    if config.teacher:
        named = runs.resolve_run(Journal.id_for(Path(config.keeping.runs_dir), config.teacher))
        if named not in {record.run_id for record in records}:
            raise TeacherError(f"--teacher {config.teacher}: it is not a finished kdflow teacher")
        return named
    students = [record for record in records if _role(record) == "student"]
    seen = _data((students or records)[0])
    taught = Counter(one.tags.get("kdflow.teacher_run_id") for one in students if _data(one) == seen)
    there = [one.run_id for one in records if _data(one) == seen and (one in teachers or taught[one.run_id])]
    gone = [run_id for run_id in taught if run_id and run_id not in there]
    # Newest first: of equals, that is taken. One that is gone is better than one without students.
    ranks = {run_id: (taught[run_id] > 0, run_id in there, taught[run_id]) for run_id in there + gone}
    return max(ranks, key=lambda run_id: ranks[run_id], default=None)


def _choose_students(students: list[Record], teacher_id: str | None) -> tuple[list[Record], Counter[str]]:
    left_out: Counter[str] = Counter()
    taught = [record for record in students if record.tags.get("kdflow.teacher_run_id") == teacher_id is not None]
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


def _rows(teacher: Record | None, students: list[Record], runs: Runs) -> tuple[Row, ...]:
    newest = {record.run_id for record in [*([teacher] if teacher else []), *students][:DRAWN]}
    ordered = sorted(students, key=lambda one: (-_number(one, "alpha"), _temperature(one), one.started))
    varying = _varying(students)
    return tuple(
        _row(record, teacher, varying, runs if record.run_id in newest else None)
        for record in ([teacher] if teacher else []) + ordered
    )


def _row(record: Record, teacher: Record | None, varying: Iterable[str], runs: Runs | None) -> Row:
    params, metrics = record.params, record.metrics
    is_student = record is not teacher  # one that teaches may have been a student itself
    alpha = _number(record, "alpha") if is_student else None
    distiller = params.get("distiller") if is_student and alpha != 1 else None
    own = dict(_settings(record, without=_without_effect(record))) if is_student else {}
    train, val, test = (metrics[name] for name in FINAL)
    return Row(
        run_id=record.run_id,
        role="student" if is_student else "teacher",
        model=params["model"],
        alpha=alpha,
        distiller=distiller,
        temperature=_temperature(record) if is_student and _is_softened(record) else None,
        seed=int(_number(record, "seed")),
        epochs=int(_number(record, "epochs")),
        settings=", ".join(f"{name}={own[name]}" for name in varying if own.get(name)),
        parameters=int(metrics["model/parameters"]),
        train_accuracy=train,
        val_accuracy=val,
        test_accuracy=test,
        gap=test - teacher.metrics[FINAL[2]] if teacher and is_student else None,
        history=runs.history(record.run_id, [name for name in CURVES if name in metrics]) if runs else {},
    )


def _varying(students: list[Record]) -> list[str]:
    """The params, other than those with columns of their own, in which students differ."""
    settings = [dict(_settings(record, without=SHOWN | _without_effect(record))) for record in students]
    names = sorted({name for one in settings for name in one})
    return [name for name in names if len({one[name] for one in settings if name in one}) > 1]


def _is_of(record: Record, dataset: str) -> bool:
    """Whether a run is on the data set that is asked for; of a folder, not one that another of its name is on."""
    place = lasting_name(dataset)
    theirs = record.tags.get("kdflow.dataset", place)
    elsewhere = place != dataset and theirs != place and Path(theirs).is_dir()
    return record.tags["kdflow.data"] == short_name(dataset) and not elsewhere


def _unusable(record: Record) -> str | None:
    """Why a run cannot be compared, or None if it can."""
    if record.status != "FINISHED":
        return "unfinished"
    numbers = [record.params.get(name) for name in NUMBERS[_role(record)]]
    if "temperature" in record.params or _is_softened(record):
        numbers.append(record.params.get("temperature"))
    figures = [record.metrics.get(name, math.nan) for name in FINAL]
    whole = (
        {"kdflow.data", "kdflow.data_digest", "kdflow.split_digest"} <= record.tags.keys()
        and "model" in record.params
        and all(map(_is_number, numbers))
        and all(map(math.isfinite, figures))
        and 1 <= record.metrics.get("model/parameters", math.nan) < math.inf
        and record.trained >= _number(record, "epochs")
    )
    return None if whole else "without all epochs, figures and settings"


def _is_number(text: str | None) -> bool:
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def _role(record: Record) -> str:
    return record.tags["kdflow.role"]


def _data(record: Record) -> tuple[str, str]:
    return record.tags["kdflow.data_digest"], record.tags["kdflow.split_digest"]


def _number(record: Record, param: str) -> float:
    return float(record.params[param])


def _temperature(record: Record) -> float:
    return _number(record, "temperature") if "temperature" in record.params else 0.0


def _is_softened(record: Record) -> bool:
    known = record.params.get("distiller") in distillers and _is_number(record.params.get("alpha"))
    return known and "temperature" not in _without_effect(record)


def _without_effect(record: Record) -> set[str]:
    """What `mlflow run` and older versions log all the same."""
    return without_effect(_number(record, "alpha"), record.params.get("distiller", ""))


def _settings(record: Record, *, without: set[str]) -> tuple[tuple[str, str], ...]:
    ignored = INCIDENTAL | without
    settled = {name: record.tags.get(f"kdflow.{name}", value) for name, value in record.params.items()}
    return tuple(sorted((name, _plain(name, value)) for name, value in settled.items() if name not in ignored))


def _plain(name: str, value: str) -> str:
    """One spelling for all that mean the same: `mlflow run` logs what the user typed."""
    try:
        return show(OPTIONS[name].read(name, value))
    except (KeyError, UsageError):
        return value
