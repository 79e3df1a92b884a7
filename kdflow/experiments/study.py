"""The study: a grid of teachers and students is planned, what is not done of it is trained, and all is compared."""

import os
from collections.abc import Collection, Mapping
from contextlib import suppress

from kdflow.analysis import selection
from kdflow.analysis.answer import Answer
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.records import role
from kdflow.common.errors import KdflowError, TrackingError
from kdflow.common.text import command
from kdflow.config import TEACHER_OPTIONS, CompareConfig, StudyConfig, settings_file
from kdflow.config.option import Value
from kdflow.data import Dataset, lasting_name
from kdflow.experiments import compare, descriptions, reuse
from kdflow.experiments.answering import answered
from kdflow.experiments.commands import plan_run
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.grid import Grid, PlannedRun, study_name, told, typed_again
from kdflow.experiments.progress import JobsProgress
from kdflow.experiments.provenance import COMMAND_TAG
from kdflow.experiments.session import Session, prepare, readable
from kdflow.experiments.study_plan import StudyPlan, job_config
from kdflow.experiments.training_runs import train_cohort
from kdflow.launchers import Place, launchers, run
from kdflow.teachers.frozen import Frozen
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from kdflow.tracking.run import Run, data_tags, experiment_of, settled_tags
from kdflow.tracking.surroundings import STUDY
from kdflow.training.identity import joint_signature, params

JOBS = "jobs"
"""Folder of a study's own that holds what its jobs said."""


def run_study(config: StudyConfig, *, nested: bool = False) -> Comparison | None:
    """Trains what is not done of a grid of teachers and students, and compares all of them.

    Args:
        config: The options.
        nested: Nest its run in the active run of MLflow, as `mlflow.start_run(nested=True)` does.

    Returns:
        The comparison; None where only the plan was asked for.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds; also if some jobs failed, once the others are compared.
        Stopped: a signal came.
    """
    session = prepare("study", job_config(config), asked=config, nested=nested)
    known = session.find_teacher(session.config) if config.teacher else None
    grid = Grid(session.config, session.signer, (known.signature, known.run_id) if known else ())
    taught_by = [known.signature] if known else list(dict.fromkeys(one.signature for one in grid.teachers.values()))
    together = joint_signature("study", [*taught_by, *(one.signature for one in grid.students)])
    if config.placing.dry_run or config.placing.plan:
        StudyPlan.made(grid, session, _done(grid, session, known)).only_told(config.placing.plan)
        return None
    with session.alone(together) as session:
        done = _done(grid, session, known)
        plan = StudyPlan.made(grid, session, done)
        plan.tell()
        tags = data_tags(session.data) | settled_tags(session.runtime) | {COMMAND_TAG: _typed(session.config)}
        with (
            session.begun(together, teacher=known) as outbox,
            Run(outbox, "study", study_name(session.config, session.data.name), tags=tags, signature=together) as study,
        ):
            _describe(study, session, known)
            if plan.is_one_training:
                teachers, missing = _train_here(grid, session, done, known, outbox, study), ""
            else:
                teachers, missing = _train_elsewhere(grid, session, plan, known, outbox, study)
            outbox.settle()
            runs, answer = _answer(outbox, teachers, grid, session.data, missing)
            logged = compare.log(answer, study, runs)
            if missing:
                raise KdflowError(missing)
            return logged


def _done(grid: Grid, session: Session[StudyConfig], known: Teacher | None) -> dict[str, Record]:
    """What need not be trained, but for the runs of this very study, which goes on with them itself."""
    done = reuse.finished(session, [one.signature for one in grid.runs], teacher=known.run_id if known else "")
    return {one: record for one, record in done.items() if not session.has(role(record), one)}


def _describe(study: Run, session: Session[StudyConfig], known: Teacher | None) -> None:
    config, runtime = session.config, session.runtime
    described = params(config, teacher=known.run_id if known else "") | runtime.settled
    study.params({name: value for name, value in described.items() if not (known and name in TEACHER_OPTIONS)})
    study.dataset(session.data)
    settled: dict[str, Value] = {"dataset": lasting_name(session.data.source), "threads": runtime.threads}
    settled |= {"teacher": known.run_id} if known else {}
    study.text(settings_file.text("study", config, **settled), "config.yaml")
    study.describe(descriptions.of_study(config, session.data))


def _train_here(
    grid: Grid,
    session: Session[StudyConfig],
    done: Mapping[str, Record],
    known: Teacher | None,
    outbox: Outbox,
    study: Run,
) -> list[str]:
    """Trains one teacher and one cohort in this process; gives the teacher's run."""
    config, data, runtime = session.config, session.data, session.runtime
    teacher = known or _teacher(grid.runs[0], session, done, outbox, study)
    left = [plan_run(one.config, session, one.taught_by) for one in grid.students if one.signature not in done]
    if left:
        train_cohort(left, data, config.student_recipe, runtime, outbox, teacher=teacher, parent=study)
    return [teacher.run_id]


def _teacher(
    planned: PlannedRun, session: Session[StudyConfig], done: Mapping[str, Record], outbox: Outbox, study: Run
) -> Teacher:
    if planned.signature in done:
        trained = reuse.reused(done[planned.signature], planned.config, session.data, session.runs)
    else:
        plan = plan_run(planned.config, session)
        recipe = session.config.teacher_recipe
        (trained,) = train_cohort([plan], session.data, recipe, session.runtime, outbox, parent=study)
    return Teacher(trained.run_id, Frozen(trained.model), trained.signature)


def _train_elsewhere(
    grid: Grid,
    session: Session[StudyConfig],
    plan: StudyPlan,
    known: Teacher | None,
    outbox: Outbox,
    study: Run,
) -> tuple[list[str], str]:
    """Lets the jobs run; gives the teachers' runs, and what is missing of the grid, in words."""
    outbox.settle()
    variables = {STUDY: study.id} | experiment_of(study)
    folder = (outbox.journal.folder / JOBS).absolute()
    place = Place(folder, variables, session.config.placing, session.runtime.threads)
    failed = {}
    if jobs := [one.job for one in plan.jobs]:
        with JobsProgress(jobs, plan.seconds, place) as progress:
            ended = run(jobs, launchers[session.config.placing.on](place), progress)
        failed = {name: one for name, one in ended.items() if not one.well}
    signatures = [one.signature for one in grid.runs]
    taught_by = known.run_id if known else ""
    done = reuse.finished(session, signatures, teacher=taught_by, study=(study.id, study.key))
    missing = [one.name for one in grid.runs if one.signature not in done]
    trained = dict.fromkeys(one.signature for one in grid.teachers.values())
    teachers = [taught_by] if known else [done[one].run_id for one in trained if one in done]
    if not (missing or failed):
        return teachers, ""
    titles = {job.name: job.title for job in jobs}
    reasons = [f"{titles[name]}: {one.reason or f'exit code {one.code}'}" for name, one in failed.items()]
    said = f"{len(missing)} of {len(grid.runs)} runs are missing ({told(missing)}); failed: {told(reasons)}"
    where = f"what the jobs said is in {os.path.relpath(folder)}"
    return teachers, f"{said}; {where}; the same command again trains only what is missing"


def _answer(outbox: Outbox, teachers: Collection[str], grid: Grid, data: Dataset, missing: str) -> tuple[Runs, Answer]:
    """Answers of a grid what the store has of it, or what is kept here if it goes away."""
    config, known_by = grid.config, {one.signature for one in grid.students}
    ids = [outbox.journal.id_of(one) for one in teachers]

    def asked(runs: Runs) -> tuple[Runs, Answer]:
        comparison = selection.find(CompareConfig(), runs, taught_by=ids, known_by=known_by)
        return runs, answered(comparison, runs, config.answer, command=_typed(config), data=data)

    runs_dir = config.keeping.runs_dir
    try:
        if not outbox.in_trouble:
            with suppress(TrackingError):
                return asked(readable(runs_dir, offline=False))
        return asked(readable(runs_dir, offline=True))
    except KdflowError as error:
        raise KdflowError(missing) if missing else error from error


def _typed(config: StudyConfig) -> str:
    return command("kdflow", "study", *typed_again(config))
