"""The study: a teacher, a cohort of students, a comparison; each training an MLflow run."""

import json
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision

from kdflow import __version__, checkpoint, compare, distillers, figures, models, tracking
from kdflow import teacher as teachers
from kdflow.cohort import Member
from kdflow.config import CompareConfig, Recipe, StudentConfig, StudyConfig, TeacherConfig, flat
from kdflow.data import Dataset, load
from kdflow.evaluate import final_scores
from kdflow.models import cost
from kdflow.models.frozen import Frozen
from kdflow.models.servable import Servable
from kdflow.progress import TrainingProgress, console
from kdflow.rows import Comparison
from kdflow.runtime import Runtime, resolve
from kdflow.teacher import Teacher
from kdflow.tracking import Run
from kdflow.train import fit


@dataclass(frozen=True)
class Trained:
    """A finished training run.

    Attributes:
        run_id: Of MLflow.
        model: As it stands after the last epoch, in eval mode.
        address: Of the registered version, such as "models:/kdflow-student-digits/3".
        scores: The `final/` metrics.
    """

    run_id: str
    model: torch.nn.Module
    address: str
    scores: dict[str, float]


@dataclass
class Plan:
    """A run to be: a config and the member of a cohort that it describes."""

    role: str
    config: TeacherConfig | StudentConfig
    member: Member


def run_teacher(config: TeacherConfig) -> Trained:
    """Trains, evaluates, logs and registers a teacher.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    return _train([_plan_teacher(config, data)], data, config.recipe, runtime)[0]


def run_student(config: StudentConfig) -> Trained:
    """Trains, evaluates, logs and registers a student; at alpha = 1 no teacher is looked for.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    plan = _plan_student(config, data)
    teacher = teachers.find(config.teacher, data) if config.alpha < 1 else None
    return _train([plan], data, config.recipe, runtime, teacher=teacher)[0]


def run_study(config: StudyConfig) -> Comparison:
    """Trains a teacher (unless one is named), then all students in one pass, and compares them, as nested runs.

    Raises:
        KdflowError: see `kdflow.errors` for the kinds.
    """
    data, runtime = _open(config)
    students = [_plan_student(student, data) for student in config.student_configs()]
    teacher = teachers.find(config.teacher, data) if config.teacher else None
    plan = None if teacher else _plan_teacher(config.teacher_config(), data)
    with Run("study", f"study {data.name}", tags=_tags(data)) as study:
        study.params(flat(config))
        study.dataset(data)
        if plan:
            trained = _train([plan], data, config.teacher_recipe, runtime, parent=study)[0]
            teacher = Teacher(trained.run_id, Frozen(trained.model))
        _train(students, data, config.student_recipe, runtime, teacher=teacher, parent=study)
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


def _plan_teacher(config: TeacherConfig, data: Dataset) -> Plan:
    model = models.build(config.model, len(data.classes), seed=config.runtime.seed)
    return Plan("teacher", config, Member("teacher", model))


def _plan_student(config: StudentConfig, data: Dataset) -> Plan:
    distiller = distillers.build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    model = models.build(config.model, len(data.classes), seed=config.runtime.seed)
    name = f"alpha={config.alpha:g}"
    if config.alpha < 1 and "temperature" in distiller.knobs:
        name += f" T={config.temperature:g}"
    return Plan("student", config, Member(name, model, config.alpha, distiller))


def _train(
    plans: Sequence[Plan],
    data: Dataset,
    recipe: Recipe,
    runtime: Runtime,
    *,
    teacher: Teacher | None = None,
    parent: Run | None = None,
) -> list[Trained]:
    cohort = [plan.member for plan in plans]
    role = plans[0].role
    for name in dict.fromkeys(plan.config.model for plan in plans):
        model = next(plan.member.model for plan in plans if plan.config.model == name)
        console.print(
            f"{role} {name}: {cost.parameters(model):,} parameters, {cost.forward_flops(model) / 1e6:.1f} MFLOP an image"
        )
    with ExitStack() as open_runs:
        runs = [open_runs.enter_context(_start(plan, data, runtime, teacher, parent)) for plan in plans]
        names = [member.name for member in cohort]
        with TrainingProgress(role if len(plans) == 1 else f"{len(plans)} {role}s", names, recipe.epochs) as progress:
            training = fit(
                cohort, data, recipe, runtime=runtime, teacher=teacher and teacher.model, on_step=progress.step
            )
            for epoch in training:
                for run, metrics in zip(runs, epoch.metrics, strict=True):
                    run.metrics(metrics, step=epoch.number)
                progress.epoch(epoch)
        return [_finish(run, plan, data) for run, plan in zip(runs, plans, strict=True)]


def _start(plan: Plan, data: Dataset, runtime: Runtime, teacher: Teacher | None, parent: Run | None) -> Run:
    tags = _tags(data)
    if teacher and plan.member.alpha < 1:
        tags["kdflow.teacher_run_id"] = teacher.run_id
    name = plan.role if plan.role == "teacher" else f"{plan.role} {plan.member.name}"
    run = Run(plan.role, name, parent=parent, tags=tags)
    run.params(flat(plan.config))
    run.dataset(data)
    run.metrics(
        {
            "model/parameters": cost.parameters(plan.member.model),
            "model/forward_flops": cost.forward_flops(plan.member.model),
        }
    )
    run.text(json.dumps(_environment(runtime), indent=2), "environment.json")
    return run


def _finish(run: Run, plan: Plan, data: Dataset) -> Trained:
    servable = Servable(plan.member.model, data.mean, data.std)
    scores = final_scores(servable, data)
    run.metrics(scores)
    history = tracking.histories(run.id, list(compare.CURVES))
    run.figure(figures.run_curves(f"{run.name}, {data.name}", history), "loss_curves.png")
    with TemporaryDirectory(prefix="kdflow-") as folder:
        checkpoint.save(Path(folder), plan.member.model, _card(plan, data))
        run.folder(Path(folder), tracking.WEIGHTS_FOLDER)
    facts = {"seed": plan.config.runtime.seed, "run_name": run.name} | {
        name.removeprefix("final/"): value for name, value in scores.items()
    }
    if isinstance(plan.config, StudentConfig):
        facts |= {"alpha": plan.config.alpha, "temperature": plan.config.temperature, "distiller": plan.config.distiller}
    address = tracking.register(run, plan.role, servable, data, facts)
    run.close("FINISHED")
    console.print(f"{run.name}: test accuracy {scores['final/test_accuracy']:.2%}, registered as {address}", markup=False)
    return Trained(run.id, plan.member.model, address, scores)


def _tags(data: Dataset) -> dict[str, str]:
    return {"kdflow.data": data.name, "kdflow.data_digest": data.digest, "kdflow.split_digest": data.split_digest}


def _card(plan: Plan, data: Dataset) -> dict[str, object]:
    return {
        "role": plan.role,
        "model": plan.config.model,
        "classes": list(data.classes),
        "mean": list(data.mean),
        "std": list(data.std),
        "data": data.name,
        "data_digest": data.digest,
        "split_digest": data.split_digest,
        "kdflow": __version__,
        "torch": torch.__version__,
    }


def _environment(runtime: Runtime) -> dict[str, object]:
    return {
        "kdflow": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "system": platform.platform(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "computed on": runtime.describe(),
    }
