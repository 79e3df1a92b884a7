"""Training a cohort with each member an MLflow run: logged by epoch, evaluated once, registered."""

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from kdflow.common import signals
from kdflow.common.console import say, warn
from kdflow.config import Recipe, StudentConfig, TeacherConfig, needs_teacher, settings_file
from kdflow.config.option import Value
from kdflow.data import Dataset, lasting_name
from kdflow.device.runtime import Runtime
from kdflow.evaluation.metrics import curves
from kdflow.evaluation.predictions import PREDICTIONS
from kdflow.evaluation.scores import final_evaluation
from kdflow.evaluation.speed import speed, to_teacher
from kdflow.experiments import descriptions, run_files
from kdflow.experiments.find_teacher import Teacher
from kdflow.experiments.grid import run_name
from kdflow.experiments.progress import TrainingProgress
from kdflow.experiments.results import Trained
from kdflow.journal.entries import TEACHER
from kdflow.journal.journal import DIVERGED
from kdflow.models import cost, weights
from kdflow.models.export import Servable
from kdflow.reports import formats
from kdflow.reports.styles import alpha_colour
from kdflow.tracking.model_registry import registered_name
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.record import WEIGHTS_FOLDER
from kdflow.tracking.run import Run, data_tags, settled_tags
from kdflow.tracking.system_metrics import SystemMetrics
from kdflow.training import checkpoint
from kdflow.training.cohort import Step
from kdflow.training.identity import joint_signature, params, version_tags
from kdflow.training.loop import fit
from kdflow.training.member import Member

BARELY_ABOVE_CHANCE = 1.2
"""Times the accuracy of guessing: a run that ends below has learned nothing of its training images."""

FIRST = "val/accuracy"
"""MLflow's page that compares runs draws first the metric that was logged first."""


@dataclass(frozen=True)
class Plan:
    """A run to be: a config, the member of a cohort that it describes, and what it is known by."""

    config: TeacherConfig | StudentConfig
    member: Member
    signature: str

    @property
    def role(self) -> str:
        """What the config describes: "teacher" or "student"."""
        return "teacher" if isinstance(self.config, TeacherConfig) else "student"

    @property
    def run_name(self) -> str:
        """See `kdflow.experiments.grid.run_name`."""
        return run_name(self.config)


def train_cohort(
    plans: Sequence[Plan],
    data: Dataset,
    recipe: Recipe,
    runtime: Runtime,
    outbox: Outbox,
    *,
    teacher: Teacher | None = None,
    parent: Run | None = None,
) -> list[Trained]:
    """Trains teachers or students side by side, each as an MLflow run of its own; goes on where the journal has them.

    Args:
        plans: All of one role and one architecture.
        data: What they see.
        recipe: How they are trained.
        runtime: On what.
        outbox: Takes what is logged.
        teacher: Needed if any alpha is below 1.
        parent: The study that the runs are nested in.

    Raises:
        KdflowError: a loss is no longer finite, or a checkpoint cannot be kept.
        Stopped: a signal came; the last finished epoch is kept.
    """
    model = plans[0].member.model
    size = f"{cost.parameters(model):,} parameters, {cost.forward_flops(model) / 1e6:.1f} MFLOP an image"
    say(f"{plans[0].role} {plans[0].config.model}: {size}")
    with ExitStack() as open_runs:
        runs = [open_runs.enter_context(_open_run(plan, data, runtime, outbox, teacher, parent)) for plan in plans]
        if not all(run.finished for run in runs):
            for run, plan in zip(runs, plans, strict=True):
                if not run.finished:
                    _describe(run, plan, data, runtime, teacher)
            _train(plans, runs, data, recipe, runtime, teacher, outbox)
        quickness = {} if all(run.finished for run in runs) else _speed(model, teacher, data, runtime)
        return [_finish(run, plan, data, runtime, teacher, quickness) for run, plan in zip(runs, plans, strict=True)]


def _open_run(
    plan: Plan, data: Dataset, runtime: Runtime, outbox: Outbox, teacher: Teacher | None, parent: Run | None
) -> Run:
    tags = data_tags(data) | settled_tags(runtime)
    tags |= {"kdflow.validation": data.validation, "kdflow.dataset": lasting_name(data.source)}
    tags["mlflow.runColor"] = alpha_colour(plan.member.alpha if plan.role == "student" else None)
    if taught_by := _taught_by(plan, teacher):
        tags[TEACHER] = taught_by
    return Run(outbox, plan.role, plan.run_name, parent=parent, tags=tags, signature=plan.signature)


def _taught_by(plan: Plan, teacher: Teacher | None) -> str:
    """The run that teaches; empty where none does."""
    return teacher.run_id if teacher and needs_teacher(plan.member.alpha) else ""


def _describe(run: Run, plan: Plan, data: Dataset, runtime: Runtime, teacher: Teacher | None) -> None:
    described = params(plan.config, teacher=teacher.run_id if teacher else "") | runtime.settled
    run.params(described | cost.sizes(plan.member.model))
    run.dataset(data)
    run.text(json.dumps(run_files.environment(runtime), indent=2), "environment.json")
    settled: dict[str, Value] = {"dataset": lasting_name(data.source), "threads": runtime.threads}
    taught_by = _taught_by(plan, teacher)
    settled |= {"teacher": taught_by} if taught_by else {}
    run.text(settings_file.text(plan.role, plan.config, **settled), "config.yaml")
    run.describe(descriptions.of_training(plan.config, data, taught_by), teacher=taught_by)


def _train(
    plans: Sequence[Plan],
    runs: Sequence[Run],
    data: Dataset,
    recipe: Recipe,
    runtime: Runtime,
    teacher: Teacher | None,
    outbox: Outbox,
) -> None:
    """Trains to the end, from the newest checkpoint if there is one; each epoch is kept before it is told."""
    checkpoints = _checkpoints(plans, outbox)
    checkpoints.mkdir(parents=True, exist_ok=True)
    kept, notices = checkpoint.load(checkpoints)
    done = kept["epoch"] if kept else 0
    for notice in notices:
        warn(notice)
    if kept:
        say(f"{plans[0].role}: going on after epoch {done} of {recipe.epochs}")
        _log(runs, kept["facts"]["metrics"], done)  # they may have been kept, and not logged before the stop
    names, system = [plan.member.name for plan in plans], SystemMetrics()
    with TrainingProgress(plans[0].role, names, recipe.epochs, done=done) as progress, signals.patient():

        def on_step(step: Step) -> None:
            progress.step(step)
            signals.check()

        for epoch in fit(
            [plan.member for plan in plans],
            data,
            recipe,
            runtime=runtime,
            teacher=teacher.model if teacher else None,
            on_step=on_step,
            resume=kept["state"] if kept else None,
        ):
            checkpoint.save(checkpoints, epoch.number, {"state": epoch.state, "facts": {"metrics": epoch.metrics}})
            sampled = system.sample()
            _log(runs, [values | sampled for values in epoch.metrics], epoch.number)
            outbox.carry()
            progress.epoch(epoch)


def _checkpoints(plans: Sequence[Plan], outbox: Outbox) -> Path:
    """Where those of a cohort are, which no other cohort of the same command shares."""
    together = joint_signature("cohort", [plan.signature for plan in plans])
    return outbox.journal.checkpoints / f"{plans[0].role}-{together[:12]}"


def _log(runs: Sequence[Run], metrics: Sequence[Mapping[str, float]], epoch: int) -> None:
    for run, values in zip(runs, metrics, strict=True):
        run.metrics({name: values[name] for name in sorted(values, key=FIRST.__ne__)}, step=epoch)


def _speed(model: nn.Module, teacher: Teacher | None, data: Dataset, runtime: Runtime) -> dict[str, float]:
    """How quick the one architecture of a cohort is, alone and beside its teacher."""
    timed = {"": model} | ({"teacher": teacher.model.model} if teacher else {})
    found = speed(
        {name: Servable(one, data.mean, data.std).to(runtime.device) for name, one in timed.items()}, data.train.images
    )
    return found[""] | (to_teacher(found[""], found["teacher"]) if teacher else {})


def _finish(
    run: Run, plan: Plan, data: Dataset, runtime: Runtime, teacher: Teacher | None, quickness: dict[str, float]
) -> Trained:
    model, folder = plan.member.model, run.artifacts / WEIGHTS_FOLDER
    if run.finished:
        model.load_state_dict(weights.read_weights(folder), strict=True)
        say(f"{run.name}: finished before ({_outcome(run)})", vital=True)
        return Trained(run.id, model.eval(), run.address, run.scores, data.validation, plan.signature)
    servable = Servable(model, data.mean, data.std)
    evaluated = final_evaluation(servable.to(runtime.device), data, device=runtime.device)
    run.metrics(evaluated.scores | quickness)
    run.file(evaluated.predictions.to_bytes(), PREDICTIONS)
    if run.scores["final/train_accuracy"] < BARELY_ABOVE_CHANCE / len(data.classes):
        run.tag({DIVERGED: "true"})
        warn(f"{run.name} ended near chance; try a lower learning rate or a larger alpha")
    drawn = formats.run_curves(f"{run.name}, {data.name}", run.history(curves()), validation=data.validation)
    run.file(formats.png(drawn), "loss_curves.png")
    folder.mkdir(exist_ok=True)
    weights.save(folder, model, run_files.card(plan.config, plan.role, plan.signature, data))
    run.artifact(WEIGHTS_FOLDER)
    name = registered_name(plan.role, data)
    tags = version_tags(plan.config, run.scores, validated=len(data.val))
    run.register(name, WEIGHTS_FOLDER, tags)
    taught_by = _taught_by(plan, teacher)
    run.describe(descriptions.of_model(plan.config, data, taught_by, run.scores, name), teacher=taught_by)
    run.close("FINISHED")
    say(f"{run.name}: {_outcome(run)}", vital=True)
    return Trained(run.id, model, run.address, run.scores, data.validation, plan.signature)


def _outcome(run: Run) -> str:
    registered = f"registered as {run.address}" if run.address else "to be registered when the store can be used"
    return f"test accuracy {run.scores['final/test_accuracy']:.2%}, {registered}"
