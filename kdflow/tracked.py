"""Training a cohort with each member an MLflow run: logged by epoch, evaluated once, registered."""

import json
import os
import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torchvision

from kdflow import __version__, checkpoint, report, tracking
from kdflow.cohort import Member
from kdflow.config import Recipe, StudentConfig, TeacherConfig, flat
from kdflow.data import Dataset
from kdflow.evaluate import final_scores
from kdflow.models import cost
from kdflow.models.servable import Servable
from kdflow.options import Value
from kdflow.progress import TrainingProgress, console
from kdflow.rows import CURVES
from kdflow.runtime import Runtime
from kdflow.teacher import Teacher
from kdflow.tracking import Run, data_tags
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


@dataclass(frozen=True)
class Plan:
    """A run to be: a config and the member of a cohort that it describes."""

    config: TeacherConfig | StudentConfig
    member: Member

    @property
    def role(self) -> str:
        """What the config describes: "teacher" or "student"."""
        return "teacher" if isinstance(self.config, TeacherConfig) else "student"

    @property
    def run_name(self) -> str:
        """Shown in the MLflow UI, such as "teacher" or "student alpha=0 T=4"."""
        return self.role if self.role == self.member.name else f"{self.role} {self.member.name}"


def run_cohort(
    plans: Sequence[Plan],
    data: Dataset,
    recipe: Recipe,
    runtime: Runtime,
    *,
    teacher: Teacher | None = None,
    parent: Run | None = None,
) -> list[Trained]:
    """Trains teachers or students side by side, each as an MLflow run of its own.

    Args:
        plans: All of one role and one architecture.
        data: What they see.
        recipe: How they are trained.
        runtime: On what.
        teacher: Needed if any alpha is below 1.
        parent: The study that the runs are nested in.

    Raises:
        KdflowError: a loss is no longer finite, or the store cannot be used.
    """
    cohort, model = [plan.member for plan in plans], plans[0].member.model
    size = f"{cost.parameters(model):,} parameters, {cost.forward_flops(model) / 1e6:.1f} MFLOP an image"
    console.print(f"{plans[0].role} {plans[0].config.model}: {size}", markup=False)
    frozen = teacher.model if teacher else None
    with ExitStack() as open_runs:
        runs = [open_runs.enter_context(_new_run(plan, data, teacher, parent)) for plan in plans]
        for run, plan in zip(runs, plans, strict=True):
            _describe(run, plan, data, runtime)
        with TrainingProgress(plans[0].role, [member.name for member in cohort], recipe.epochs) as progress:
            for epoch in fit(cohort, data, recipe, runtime=runtime, teacher=frozen, on_step=progress.step):
                for run, metrics in zip(runs, epoch.metrics, strict=True):
                    run.metrics(metrics, step=epoch.number)
                progress.epoch(epoch)
        return [_finish(run, plan, data, runtime) for run, plan in zip(runs, plans, strict=True)]


def _new_run(plan: Plan, data: Dataset, teacher: Teacher | None, parent: Run | None) -> Run:
    tags = data_tags(data)
    if teacher and plan.member.alpha < 1:
        tags["kdflow.teacher_run_id"] = teacher.run_id
    return Run(plan.role, plan.run_name, parent=parent, tags=tags)


def _describe(run: Run, plan: Plan, data: Dataset, runtime: Runtime) -> None:
    run.params(flat(plan.config))
    run.dataset(data)
    model = plan.member.model
    run.metrics({"model/parameters": cost.parameters(model), "model/forward_flops": cost.forward_flops(model)})
    run.text(json.dumps(_environment(runtime), indent=2), "environment.json")


def _finish(run: Run, plan: Plan, data: Dataset, runtime: Runtime) -> Trained:
    servable = Servable(plan.member.model, data.mean, data.std)
    scores = final_scores(servable.to(runtime.device), data, device=runtime.device)
    run.metrics(scores)
    history = tracking.histories(run.id, list(CURVES))
    run.figure(report.run_curves(f"{run.name}, {data.name}", history), "loss_curves.png")
    with TemporaryDirectory(prefix="kdflow-") as folder:
        checkpoint.save(Path(folder), plan.member.model, _card(plan, data))
        run.folder(Path(folder), tracking.WEIGHTS_FOLDER)
    address = tracking.register(run, plan.role, servable.cpu(), data, _facts(plan, scores))
    run.close("FINISHED")
    console.print(
        f"{run.name}: test accuracy {scores['final/test_accuracy']:.2%}, registered as {address}", markup=False
    )
    return Trained(run.id, plan.member.model, address, scores)


def _facts(plan: Plan, scores: dict[str, float]) -> dict[str, Value]:
    facts: dict[str, Value] = {name.removeprefix("final/"): value for name, value in scores.items()}
    facts |= {"seed": plan.config.runtime.seed, "model": plan.config.model}
    if isinstance(plan.config, StudentConfig):
        config = plan.config
        facts |= {"alpha": config.alpha, "distiller": config.distiller, "temperature": config.temperature}
    return facts


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
        "cores": os.cpu_count(),
        "computed on": runtime.describe(),
    }
