"""The study: a teacher, a cohort of students, a comparison. What the command line does, as plain functions."""

from kdflow import compare, distillers, models
from kdflow import teacher as teachers
from kdflow.cohort import Member
from kdflow.config import TEACHER_OPTIONS, CompareConfig, StudentConfig, StudyConfig, TeacherConfig, flat
from kdflow.data import Dataset, load
from kdflow.models.frozen import Frozen
from kdflow.progress import console
from kdflow.rows import Comparison
from kdflow.runtime import Runtime, resolve
from kdflow.teacher import Teacher
from kdflow.tracked import Plan, Trained, run_cohort
from kdflow.tracking import Run, data_tags


def run_teacher(config: TeacherConfig) -> Trained:
    """Trains, evaluates, logs and registers a teacher.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    (trained,) = run_cohort([_plan_teacher(config, data)], data, config.recipe, runtime)
    console.print(f"Next, on the same data: kdflow student --alpha 0 --teacher {trained.run_id}", markup=False)
    return trained


def run_student(config: StudentConfig) -> Trained:
    """Trains, evaluates, logs and registers a student; at alpha = 1 no teacher is looked for.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    plan = _plan_student(config, data)
    teacher = teachers.find(config.teacher, data) if config.alpha < 1 else None
    (trained,) = run_cohort([plan], data, config.recipe, runtime, teacher=teacher)
    console.print("Next: kdflow compare")
    return trained


def run_study(config: StudyConfig) -> Comparison:
    """Trains a teacher (unless one is named), then all students in one pass, and compares them, as nested runs.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    students = [_plan_student(student, data) for student in config.student_configs()]
    known = teachers.find(config.teacher, data) if config.teacher else None
    plans = [] if known else [_plan_teacher(config.teacher_config(), data)]
    with Run("study", f"study {data.name}", tags=data_tags(data)) as study:
        study.params({name: value for name, value in flat(config).items() if not (known and name in TEACHER_OPTIONS)})
        study.dataset(data)
        teacher = known or _as_teacher(*run_cohort(plans, data, config.teacher_recipe, runtime, parent=study))
        run_cohort(students, data, config.student_recipe, runtime, teacher=teacher, parent=study)
        return compare.log(compare.find(CompareConfig(teacher=teacher.run_id)), parent=study)


def run_compare(config: CompareConfig) -> Comparison:
    """Compares finished runs and logs tables and figures as a run of its own.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    return compare.log(compare.find(config))


def _open(config: TeacherConfig | StudentConfig | StudyConfig) -> tuple[Dataset, Runtime]:
    runtime = resolve(config.runtime)
    data = load(config.data)
    console.print(
        f"{data.name}: {len(data.train):,} training, {len(data.val):,} validation, {len(data.test):,} test images, "
        f"{len(data.classes)} classes (digest {data.digest[:8]}); {runtime.describe()}",
        markup=False,
    )
    return data, runtime


def _as_teacher(trained: Trained) -> Teacher:
    return Teacher(trained.run_id, Frozen(trained.model))


def _plan_teacher(config: TeacherConfig, data: Dataset) -> Plan:
    model = models.build(config.model, len(data.classes), seed=config.runtime.seed)
    return Plan(config, Member("teacher", model))


def _plan_student(config: StudentConfig, data: Dataset) -> Plan:
    distiller = distillers.build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    model = models.build(config.model, len(data.classes), seed=config.runtime.seed)
    name = f"alpha={config.alpha:g}"
    if config.alpha < 1 and "temperature" in distiller.knobs:
        name += f" T={config.temperature:g}"
    return Plan(config, Member(name, model, config.alpha, distiller))
