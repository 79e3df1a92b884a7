"""The study: a teacher, a cohort of students, a comparison. What the command line does, as plain functions."""

from contextlib import suppress
from typing import Any

from kdflow import distillers, models
from kdflow.analysis import selection
from kdflow.analysis.comparison import Comparison
from kdflow.common.console import say
from kdflow.common.errors import TrackingError
from kdflow.common.mlflow_project import typed
from kdflow.common.text import command
from kdflow.config import (
    TEACHER_OPTIONS,
    CompareConfig,
    DataConfig,
    KeepingConfig,
    StudentConfig,
    StudyConfig,
    TeacherConfig,
    flat,
    needs_teacher,
    settings_file,
    texts,
)
from kdflow.config.option import Value, flag, show
from kdflow.data import lasting_name
from kdflow.experiments import compare
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.results import Trained
from kdflow.experiments.session import Session, begun, prepare, readable, require_tracking
from kdflow.experiments.training_runs import Plan, run_cohort
from kdflow.teachers.frozen import Frozen
from kdflow.tracking.checks import make_ready
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.readers import Runs
from kdflow.tracking.run import Run, data_tags, settled_tags
from kdflow.tracking.surroundings import Surroundings
from kdflow.training.identity import joint_signature, params
from kdflow.training.member import Member

KEPT_HERE = "look at what is kept here with --offline"


def run_teacher(config: TeacherConfig, *, nested: bool = False) -> Trained:
    """Trains, evaluates, logs and registers a teacher.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("teacher", config, nested=nested)
    plan = _plan_teacher(session.config, session)
    with session.begun(plan.signature) as outbox:
        (trained,) = run_cohort([plan], session.data, config.recipe, session.runtime, outbox)
    again = (*_said(config.data), *_said(config.keeping))
    say(f"Next: {typed(command('kdflow', 'student', '--alpha', '0', '--teacher', trained.run_id, *again))}")
    return trained


def run_student(config: StudentConfig, *, nested: bool = False) -> Trained:
    """Trains, evaluates, logs and registers a student; at alpha = 1 no teacher is looked for.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("student", config, nested=nested)
    teacher = session.find_teacher(session.config) if needs_teacher(config.alpha) else None
    plan = _plan_student(session.config, session, teacher.signature if teacher else "")
    with session.begun(plan.signature, teacher=teacher) as outbox:
        (trained,) = run_cohort([plan], session.data, config.recipe, session.runtime, outbox, teacher=teacher)
    say(f"Next: {typed(command('kdflow', 'compare', *_said(config.keeping)))}")
    return trained


def run_study(config: StudyConfig, *, nested: bool = False) -> Comparison:
    """Trains a teacher (unless one is named), then all students in one pass, and compares them, as nested runs.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("study", config, nested=nested)
    data, runtime = session.data, session.runtime
    known = session.find_teacher(session.config) if config.teacher else None
    plans = [] if known else [_plan_teacher(config.teacher_config(), session)]
    taught_by = known.signature if known else plans[0].signature
    students = [_plan_student(student, session, taught_by) for student in config.student_configs()]
    together = joint_signature("study", [taught_by, *(student.signature for student in students)])
    tags = data_tags(data) | settled_tags(runtime)
    with (
        session.begun(together, teacher=known) as outbox,
        Run(outbox, "study", f"study {data.name}", tags=tags, signature=together) as study,
    ):
        described = params(config, teacher=known.run_id if known else "") | runtime.settled
        study.params({name: value for name, value in described.items() if not (known and name in TEACHER_OPTIONS)})
        study.dataset(data)
        settled: dict[str, Value] = {"dataset": lasting_name(data.source), "threads": runtime.threads}
        settled |= {"teacher": known.run_id} if known else {}
        study.text(settings_file.text("study", config, **settled), "config.yaml")
        teacher = known or _as_teacher(*run_cohort(plans, data, config.teacher_recipe, runtime, outbox, parent=study))
        run_cohort(students, data, config.student_recipe, runtime, outbox, teacher=teacher, parent=study)
        outbox.settle()
        runs, comparison = _compare(outbox, teacher, config.keeping.runs_dir)
        return compare.log(comparison, outbox, runs, parent=study)


def run_compare(config: CompareConfig, *, nested: bool = False) -> Comparison:
    """Compares finished runs and logs tables and figures as a run of its own.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    around = Surroundings.found(texts(config), nested=nested)
    if not config.keeping.offline:
        require_tracking(around, otherwise=KEPT_HERE)
    runs = readable(config.keeping.runs_dir, offline=config.keeping.offline)
    comparison = selection.find(config, runs)
    if not config.keeping.offline:
        make_ready(otherwise=KEPT_HERE, named=around.run)
    compare.tell_teacher(comparison, runs, named=bool(config.teacher))
    with begun("compare", config.keeping, {}, around) as outbox:
        return compare.log(comparison, outbox, runs)


def _compare(outbox: Outbox, teacher: Teacher, runs_dir: str) -> tuple[Runs, Comparison]:
    """Compares the students of a teacher as the store has them, or as they are kept here if it goes away."""
    teacher_id = outbox.journal.id_of(teacher.run_id)
    if not outbox.in_trouble:
        store = readable(runs_dir, offline=False)
        with suppress(TrackingError):
            return store, selection.find(CompareConfig(teacher=teacher_id), store)
    kept = readable(runs_dir, offline=True)
    return kept, selection.find(CompareConfig(), kept, taught_by=teacher_id)


def _said(config: DataConfig | KeepingConfig) -> list[str]:
    """Options that are not at their defaults, as they are typed again for a next command."""
    default, differing = flat(type(config)()), flat(config)
    again = {name: value for name, value in differing.items() if value != default[name] and name != "resume"}
    return [word for name, value in again.items() for word in (flag(name), show(value))]


def _as_teacher(trained: Trained) -> Teacher:
    return Teacher(trained.run_id, Frozen(trained.model), trained.signature)


def _plan_teacher(config: TeacherConfig, session: Session[Any]) -> Plan:
    model = models.build(config.model, len(session.data.classes), seed=config.runtime.seed)
    return Plan(config, Member("teacher", model), session.signature(config))


def _plan_student(config: StudentConfig, session: Session[Any], taught_by: str) -> Plan:
    """A student to be; `taught_by` is the signature of its teacher."""
    distiller = distillers.build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    model = models.build(config.model, len(session.data.classes), seed=config.runtime.seed)
    taught, name = needs_teacher(config.alpha), f"alpha={show(config.alpha)}"
    if taught and "temperature" in distiller.settings():
        name += f" T={show(config.temperature)}"
    known_by = session.signature(config, taught_by if taught else "")
    return Plan(config, Member(name, model, config.alpha, distiller), known_by)
