"""Rounds of kdflow's own training loop, as `kdflow study` drives it: all students of a job in one pass."""

import itertools
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from measuring import cohorts
from measuring.pairs import runtime_config
from measuring.sample import read, shrink
from measuring.worker import Job, Orders, Reply

from kdflow import models
from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE
from kdflow.data import Dataset
from kdflow.data.batches import steps_per_epoch
from kdflow.device.runtime import Runtime, resolve
from kdflow.evaluation.scores import score
from kdflow.models.alexnet import AlexNet
from kdflow.models.export import Servable
from kdflow.teachers.frozen import Frozen
from kdflow.training.cohort import Step
from kdflow.training.loop import Epoch, fit
from kdflow.training.member import Member

ENDLESS = 10_000


class _Enough(Exception):
    """The round's steps are done."""


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    """The jobs must agree on `exact`, which settles what the whole process does."""
    data, default_threads = read(orders.sample), torch.get_num_threads()
    settled: dict[int, Runtime] = {}
    for job in orders.jobs:
        if job.threads not in settled:
            torch.set_num_threads(default_threads)
            arm = "fp32" if job.exact else "fast"
            settled[job.threads] = resolve(runtime_config(arm, seed=0, device=orders.device, threads=job.threads))
    return {job.name: _round(job, shrink(data, job.images), settled[job.threads]) for job in orders.jobs}


def _round(job: Job, data: Dataset, runtime: Runtime) -> Callable[[], Reply]:
    steps = job.steps or steps_per_epoch(len(data.train), STUDENT_RECIPE.batch_size)
    images = steps * STUDENT_RECIPE.batch_size * max(len(job.alphas), 1) * max(job.epochs, 1)
    if job.scores:
        work, images = _scoring(job, data, runtime), len(data.train)
    elif job.epochs or job.steps:
        work = _whole_trainings(job, data, runtime)
    else:
        training = _training(job, data, runtime, ENDLESS)
        work = lambda: _facts(next(training))  # noqa: E731

    def run() -> Reply:
        torch.set_num_threads(runtime.threads)  # which belong to the process
        facts = work()
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()
            facts["peak_gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return {"images": images, "steps": steps, "threads": runtime.threads, "runtime": runtime.describe(), **facts}

    return run


def _training(
    job: Job, data: Dataset, runtime: Runtime, epochs: int, on_step: Callable[[Step], None] = lambda step: None
) -> Iterator[Epoch]:
    # kdflow keeps a teacher's logits for the next training on the same data: only where the job says so, these are.
    data = replace(data, digest=job.name if job.kept else secrets.token_hex())
    classes = len(data.classes)
    teacher = AlexNet(classes, widths=job.widths) if job.widths else models.build("alexnet", classes, seed=0)
    if not job.alphas:
        return fit(
            [Member("teacher", teacher)],
            data,
            replace(TEACHER_RECIPE, epochs=epochs),
            runtime=runtime,
            on_step=on_step,
        )
    cohort = cohorts.students(classes, job.alphas, seed=0)
    recipe = replace(STUDENT_RECIPE, epochs=epochs)
    known = Frozen(teacher) if min(job.alphas) < 1 else None
    return fit(cohort, data, recipe, runtime=runtime, teacher=known, on_step=on_step)


def _whole_trainings(job: Job, data: Dataset, runtime: Runtime) -> Callable[[], Reply]:
    def leave(step: Step) -> None:
        if step.number == job.steps:
            raise _Enough

    def train() -> Reply:
        facts: Reply = {}
        try:
            for epoch in itertools.islice(_training(job, data, runtime, job.epochs or ENDLESS, leave), job.epochs or 1):
                facts = _facts(epoch)
        except _Enough:
            pass
        return facts

    return train


def _scoring(job: Job, data: Dataset, runtime: Runtime) -> Callable[[], Reply]:
    model = models.build("small-cnn" if job.alphas else "alexnet", len(data.classes), seed=0)
    servable = Servable(model, data.mean, data.std).to(runtime.device)

    def run() -> Reply:
        score(servable, data.train, "final/train_", device=runtime.device)
        return {}

    return run


def one_epoch(job: Job, orders: Orders) -> Epoch:
    """What an epoch of a few images gives."""
    data = shrink(read(orders.sample), 2 * STUDENT_RECIPE.batch_size)
    runtime = resolve(runtime_config("fast", seed=0, device=orders.device, threads=job.threads))
    return next(_training(job, data, runtime, ENDLESS))


def _facts(epoch: Epoch) -> dict[str, Any]:
    return {"training_seconds": epoch.metrics[0]["speed/epoch_seconds"]}
