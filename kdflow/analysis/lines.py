"""The table of runs: teachers first, by seed, then students by falling alpha, distiller, temperature and seed."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from kdflow.analysis.comparison import FACTS
from kdflow.analysis.records import (
    FINAL,
    LOSS,
    idle,
    is_number,
    is_softened,
    number,
    parameters_of,
    seed_of,
    settings_of,
    temperature,
)
from kdflow.config import needs_teacher
from kdflow.evaluation.metrics import columns
from kdflow.journal.entries import TEACHER
from kdflow.tracking.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame

COSTS = {
    "forward_flops": "model_forward_flops",
    "bytes": "model_bytes",
    "latency_ms": "speed/latency_ms",
    "batch_images_per_second": "speed/batch_images_per_second",
    "latency_to_teacher": "speed/latency_to_teacher",
    "throughput_to_teacher": "speed/throughput_to_teacher",
}
"""Columns of the table of costs, and the param or metric that each is logged as."""
SHOWN = LOSS - {"knobs"} | {"seed", "epochs", "model"}
"""Params with columns of their own."""


def teachers_of(teachers: list[Record], students: list[Record]) -> dict[str, str]:
    """Returns the run id of each student with that of its teacher, where that is among them.

    It is the one that taught it; of a student of labels the one of its seed, or the only one.

    Args:
        teachers: By seed.
        students: In any order.
    """
    ids = {one.run_id for one in teachers}
    by_seed = {seed_of(one): one.run_id for one in teachers}
    only = teachers[0].run_id if len(teachers) == 1 else None
    found = {one.run_id: one.tags.get(TEACHER) or by_seed.get(seed_of(one), only) for one in students}
    return {student: teacher for student, teacher in found.items() if teacher in ids}


def table(teachers: list[Record], students: list[Record]) -> "DataFrame":
    """Returns one line a run (see `kdflow.analysis.comparison.Comparison`).

    Args:
        teachers: By seed.
        students: In any order.
    """
    from pandas import DataFrame

    by_id = {one.run_id: one for one in teachers}
    taught_by = teachers_of(teachers, students)
    varying = _varying(students)
    lines = [_teacher_line(record) for record in teachers]
    for record in sorted(students, key=_place):
        lines.append(_student_line(record, by_id.get(taught_by.get(record.run_id, "")), varying))
    more = [name.removeprefix("final/") for name in columns() if name not in FINAL]
    shown = [*FACTS, *(name for name in more if any(name in line for line in lines))]
    return DataFrame([[line.get(name) for name in shown] for line in lines], columns=shown, dtype=object)


def costs(records: Iterable[Record]) -> "DataFrame":
    """Returns one line a run: run_id and what it costs to use its model, as `COSTS` names it; None where not known."""
    from pandas import DataFrame

    lines = [[record.run_id, *(_logged(record, param) for param in COSTS.values())] for record in records]
    return DataFrame(lines, columns=["run_id", *COSTS], dtype=object)


def _logged(record: Record, name: str) -> float | None:
    value = record.metrics.get(name)
    return number(record, name) if value is None and is_number(record.params.get(name)) else value


def _place(student: Record) -> tuple[float, str, float, int, int]:
    alpha = number(student, "alpha")
    return -alpha, _distiller(student) or "", temperature(student), seed_of(student), student.started


def _distiller(student: Record) -> str | None:
    return student.params.get("distiller") if needs_teacher(number(student, "alpha")) else None


def _teacher_line(record: Record) -> dict[str, object]:
    params, metrics = record.params, record.metrics
    return {
        "run_id": record.run_id,
        "role": "teacher",
        "model": params["model"],
        "seed": seed_of(record),
        "epochs": int(number(record, "epochs")),
        "settings": "",
        "parameters": int(parameters_of(record)),
        **{name.removeprefix("final/"): metrics[name] for name in columns() if name in metrics},
    }


def _student_line(record: Record, teacher: Record | None, varying: list[str]) -> dict[str, object]:
    own = dict(settings_of(record, without=idle(record)))
    test = FINAL[2]
    return _teacher_line(record) | {
        "role": "student",
        "alpha": number(record, "alpha"),
        "distiller": _distiller(record),
        "temperature": temperature(record) if is_softened(record) else None,
        "settings": ", ".join(f"{name}={own[name]}" for name in varying if own.get(name)),
        "gap": record.metrics[test] - teacher.metrics[test] if teacher else None,
    }


def _varying(students: list[Record]) -> list[str]:
    """The params, other than those with columns of their own, in which students differ."""
    found: dict[str, set[str]] = {}
    for student in students:
        for name, value in settings_of(student, without=SHOWN | idle(student)):
            found.setdefault(name, set()).add(value)
    return sorted(name for name, values in found.items() if len(values) > 1)
