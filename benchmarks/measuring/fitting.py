"""Rounds of kdflow's own training loop, as `kdflow study` drives it: all students of a job in one pass."""

import secrets
from collections.abc import Iterator
from dataclasses import replace

import torch
from measuring import cohorts
from measuring.sample import read, shrink
from measuring.worker import Job, Orders, Reply, Round

from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, RuntimeConfig
from kdflow.data import Dataset
from kdflow.data.batches import steps_per_epoch
from kdflow.device.runtime import Runtime, resolve
from kdflow.evaluation.scores import score
from kdflow.models.export import Servable
from kdflow.teachers.frozen import Frozen
from kdflow.training.loop import Epoch, fit

ENDLESS = 10_000


def rounds(orders: Orders) -> dict[str, Round]:
    data, runtime = read(orders.sample), _runtime(orders)
    return {job.name: _round(job, data, runtime) for job in orders.jobs}


def one_epoch(job: Job, orders: Orders) -> Epoch:
    """What an epoch of a few images gives."""
    data = shrink(read(orders.sample), 2 * STUDENT_RECIPE.batch_size)
    return next(_training(job, data, _runtime(orders)))


def _runtime(orders: Orders) -> Runtime:
    return resolve(RuntimeConfig(seed=0, device=orders.device, threads=orders.threads))


def _round(job: Job, data: Dataset, runtime: Runtime) -> Round:
    steps = steps_per_epoch(len(data.train), STUDENT_RECIPE.batch_size)
    facts = {
        "images": steps * STUDENT_RECIPE.batch_size * max(len(job.alphas), 1),
        "steps": steps,
        "threads": runtime.threads,
        "runtime": runtime.describe(),
    }
    work = _scoring(job, data, runtime) if job.scores else _epochs(job, data, runtime)

    def run() -> Reply:
        reply = facts | work()
        if runtime.device.type == "cuda":
            torch.cuda.synchronize()
            reply["peak_gpu_mib"] = torch.cuda.max_memory_allocated() / 2**20
        return reply

    return run


def _epochs(job: Job, data: Dataset, runtime: Runtime) -> Round:
    training = _training(job, data, runtime)

    def run() -> Reply:
        epoch = next(_training(job, data, runtime, epochs=1) if job.kept else training)
        return {"training_seconds": epoch.metrics[0]["speed/epoch_seconds"]}

    return run


def _scoring(job: Job, data: Dataset, runtime: Runtime) -> Round:
    classes = len(data.classes)
    (member,) = cohorts.students(classes, job.alphas, seed=0) or [cohorts.teacher(classes, seed=0)]
    servable = Servable(member.model, data.mean, data.std).to(runtime.device)
    return lambda: score(servable, data.train, "final/train_", device=runtime.device)


def _training(job: Job, data: Dataset, runtime: Runtime, *, epochs: int = ENDLESS) -> Iterator[Epoch]:
    # kdflow keeps a teacher's logits for the next training on the same data: only where the job says so, these are.
    data = replace(data, digest=job.name if job.kept else secrets.token_hex())
    teacher = cohorts.teacher(len(data.classes), seed=0)
    if not job.alphas:
        return fit([teacher], data, replace(TEACHER_RECIPE, epochs=epochs), runtime=runtime)
    students = cohorts.students(len(data.classes), job.alphas, seed=0)
    known = Frozen(teacher.model) if min(job.alphas) < 1 else None
    return fit(students, data, replace(STUDENT_RECIPE, epochs=epochs), runtime=runtime, teacher=known)
