"""Training a teacher, a student, students side by side; comparing: what the command line does, as plain functions."""

from typing import Any

from kdflow import distillers, models
from kdflow.analysis import selection
from kdflow.analysis.comparison import Comparison
from kdflow.common.console import say
from kdflow.common.mlflow_project import typed
from kdflow.common.text import command
from kdflow.config import (
    CohortConfig,
    CompareConfig,
    StudentConfig,
    TeacherConfig,
    needs_teacher,
    texts,
)
from kdflow.experiments import compare, descriptions, grid, reuse
from kdflow.experiments.answering import answered
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.lifetime import begun
from kdflow.experiments.results import Trained
from kdflow.experiments.session import Session, prepare, readable, require_tracking
from kdflow.experiments.training_runs import Plan, train_cohort
from kdflow.tracking.checks import make_ready
from kdflow.tracking.run import Run, data_tags, settled_tags
from kdflow.tracking.surroundings import Surroundings
from kdflow.training.identity import joint_signature, params
from kdflow.training.member import Member

KEPT_HERE = "look at what is kept here with --offline"


def run_teacher(config: TeacherConfig, *, nested: bool = False) -> Trained:
    """Trains, evaluates, logs and registers a teacher, unless that is done already.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("teacher", config, nested=nested)
    trained = _trained(session)
    again = (*grid.typed_again(config.data), *grid.typed_again(config.keeping))
    say(f"Next: {typed(command('kdflow', 'student', '--alpha', '0', '--teacher', trained.run_id, *again))}")
    return trained


def run_student(config: StudentConfig, *, nested: bool = False) -> Trained:
    """Trains, evaluates, logs and registers a student, unless that is done; at alpha = 1 no teacher is looked for.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("student", config, nested=nested)
    teacher = session.find_teacher(session.config) if needs_teacher(config.alpha) else None
    trained = _trained(session, teacher)
    say(f"Next: {typed(command('kdflow', 'compare', *grid.typed_again(config.keeping)))}")
    return trained


def run_cohort(config: CohortConfig, *, nested: bool = False) -> list[Trained]:
    """Trains students of one seed side by side, those of them that are not done.

    Args:
        config: The options.
        nested: Nest their run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Returns:
        What each of them ended with, in their order.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
        Stopped: a signal came.
    """
    session = prepare("cohort", config, nested=nested)
    configs = grid.students(session.config)
    teacher = session.find_teacher(session.config) if any(needs_teacher(one.alpha) for one in configs) else None
    known_by = {session.signer.sign(one, _teaching(one, teacher)): one for one in configs}
    with session.alone(joint_signature("cohort", list(known_by))) as session:
        done = reuse.finished(session, list(known_by), teacher=teacher.run_id if teacher else "")
        done = {known: record for known, record in done.items() if not session.has("student", known)}
        for known, record in done.items():
            reuse.tell(record, grid.run_name(known_by[known]), session)
        left = [plan_run(one, session, _teaching(one, teacher)) for known, one in known_by.items() if known not in done]
        trained = _train_students(session, left, list(known_by), teacher) if left else []
        trained += [reuse.reused(one, known_by[known], session.data, session.runs) for known, one in done.items()]
    say(f"Next: {typed(command('kdflow', 'compare', *grid.typed_again(config.keeping)))}")
    return sorted(trained, key=lambda one: list(known_by).index(one.signature))


def _train_students(
    session: Session[CohortConfig], plans: list[Plan], members: list[str], teacher: Teacher | None
) -> list[Trained]:
    """Trains students in a run of their own, in which theirs are nested."""
    known_by, data, runtime = joint_signature("cohort", members), session.data, session.runtime
    tags = data_tags(data) | settled_tags(runtime)
    name = grid.cohort_name(session.config, data.name, of_study=bool(session.around.study))
    with (
        session.begun(known_by, teacher=teacher) as outbox,
        Run(outbox, "cohort", name, tags=tags, signature=known_by) as cohort,
    ):
        cohort.params(params(session.config, teacher=teacher.run_id if teacher else "") | runtime.settled)
        cohort.describe(descriptions.of_cohort(session.config, data))
        return train_cohort(plans, data, session.config.recipe, runtime, outbox, teacher=teacher, parent=cohort)


def _trained(session: Session[Any], teacher: Teacher | None = None) -> Trained:
    """Trains one teacher or student, unless that is done."""
    taught_by = teacher.signature if teacher else ""
    known_by = session.signer.sign(session.config, taught_by)
    with session.alone(known_by) as session:
        config = session.config
        if not session.journal:
            done = reuse.finished(session, [known_by], teacher=teacher.run_id if teacher else "")
            if known_by in done:
                reuse.tell(done[known_by], grid.run_name(config), session)
                return reuse.reused(done[known_by], config, session.data, session.runs)
        plan = plan_run(config, session, taught_by)
        with session.begun(known_by, teacher=teacher) as outbox:
            (trained,) = train_cohort([plan], session.data, config.recipe, session.runtime, outbox, teacher=teacher)
    return trained


def _teaching(config: StudentConfig, teacher: Teacher | None) -> str:
    return teacher.signature if teacher and needs_teacher(config.alpha) else ""


def run_compare(config: CompareConfig, *, nested: bool = False) -> Comparison:
    """Compares finished runs and logs tables and figures, as the one run that compares the students of these teachers.

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
    answer = answered(comparison, runs, config.answer, baseline=config.baseline)
    with begun("compare", config.keeping, {}, around) as outbox, compare.run_of(comparison, outbox, runs) as run:
        return compare.log(answer, run, runs)


def plan_run(config: TeacherConfig | StudentConfig, session: Session[Any], taught_by: str = "") -> Plan:
    """A run to be, with its network.

    Args:
        config: Of the run.
        session: Of the command.
        taught_by: The signature of its teacher, where it learns from one.
    """
    model = models.build(config.model, len(session.data.classes), seed=config.runtime.seed)
    if isinstance(config, TeacherConfig):
        return Plan(config, Member("teacher", model), session.signer.sign(config))
    distiller = distillers.build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    known_by = session.signer.sign(config, taught_by if needs_teacher(config.alpha) else "")
    return Plan(config, Member(grid.student_name(config), model, config.alpha, distiller), known_by)
