"""Training and distillation through torchdistill's boxes, set up by its configuration dicts.

Runs in an environment of its own (`benchmarks/torchdistill.txt`). Models, images, batch, loss and optimiser are
kdflow's; transforms and loaders are those of the tutorial.
"""

import itertools
import logging
from collections.abc import Callable
from typing import Any

import torch
from measuring.sample import read
from measuring.worker import Job, Orders, Reply, serve
from programs.tutorial import Images, T, accuracy, transforms_of
from torchdistill.core.distillation import DistillationBox
from torchdistill.core.training import TrainingBox

from kdflow import models
from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, Recipe
from kdflow.data import Dataset

Box = TrainingBox | DistillationBox
LABELS = {
    "criterion": {"key": "CrossEntropyLoss", "kwargs": {"reduction": "mean"}},
    "criterion_wrapper": {
        "key": "SimpleLossWrapper",
        "kwargs": {
            "input": {"is_from_teacher": False, "module_path": ".", "io": "output"},
            "target": {"uses_label": True},
        },
    },
}
BOTH = {
    "student_module_path": ".",
    "student_module_io": "output",
    "teacher_module_path": ".",
    "teacher_module_io": "output",
}


def loader(dataset: str, *, sampler: type, drop_last: bool, workers: int) -> dict[str, Any]:
    kwargs = {
        "batch_size": STUDENT_RECIPE.batch_size,
        "num_workers": workers,
        "persistent_workers": True,
        "drop_last": drop_last,
    }
    return {"dataset_id": dataset, "sampler": {"class_or_func": sampler}, "kwargs": kwargs}


def train_config(recipe: Recipe, criterion: dict[str, Any], *, drop_last: bool, workers: int) -> dict[str, Any]:
    return {
        "num_epochs": recipe.epochs,
        "train_data_loader": loader(
            "train", sampler=torch.utils.data.RandomSampler, drop_last=drop_last, workers=workers
        ),
        "val_data_loader": loader("val", sampler=torch.utils.data.SequentialSampler, drop_last=False, workers=workers),
        "optimizer": {
            "key": "SGD",
            "kwargs": {
                "lr": recipe.lr,
                "momentum": recipe.momentum,
                "nesterov": recipe.momentum > 0,
                "weight_decay": recipe.weight_decay,
            },
            "max_grad_norm": recipe.clip_norm,
        },
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"loss": {**criterion, "weight": 1.0}}},
        },
    }


def box_of(job: Job, data: Dataset, device: torch.device, workers: int = 2) -> Box:
    plain, augmented = transforms_of(data)
    images = {"train": Images(data.train, augmented), "val": Images(data.val, plain)}
    sizes: dict[str, Any] = {"drop_last": len(data.train) >= STUDENT_RECIPE.batch_size, "workers": workers}
    teacher = models.build("alexnet", len(data.classes), seed=0).to(device)
    if not job.alphas:
        config = train_config(TEACHER_RECIPE, LABELS, **sizes)
        config["model"] = {"forward_proc": "forward_batch_only"}
        return TrainingBox(teacher, images, config, device, None, False, 1)
    (alpha,) = job.alphas
    student = models.build("small-cnn", len(data.classes), seed=0).to(device)
    loss = {"key": "KDLoss", "kwargs": {**BOTH, "temperature": T, "alpha": alpha, "reduction": "batchmean"}}
    config = train_config(STUDENT_RECIPE, {"criterion": loss}, **sizes)
    config["teacher"] = {"forward_proc": "forward_batch_only", "requires_grad": False}
    config["student"] = {"forward_proc": "forward_batch_only", "requires_grad": True}
    return DistillationBox(teacher.eval(), student, images, config, device, None, False, 1)


def epoch(box: Box, number: int, device: torch.device) -> None:
    """As torchdistill's own examples go through one."""
    box.pre_epoch_process(epoch=number)
    running_loss = 0.0
    for images, labels, more in box.train_data_loader:
        images, labels = images.to(device), labels.to(device)
        box.pre_forward_process()
        loss = box.forward_process(images, labels, more)
        box.post_forward_process(loss=loss)
        running_loss += loss.item()
    accuracy(box.student_model if isinstance(box, DistillationBox) else box.model, box.val_data_loader, device)
    box.post_epoch_process()


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    if orders.jobs[0].threads:
        torch.set_num_threads(orders.jobs[0].threads)
    device, data = torch.device(orders.device), read(orders.sample)
    return {job.name: _round(box_of(job, data, device), device) for job in orders.jobs}


def _round(box: Box, device: torch.device) -> Callable[[], Reply]:
    numbers = itertools.count()
    images = len(box.train_data_loader) * STUDENT_RECIPE.batch_size

    def run() -> Reply:
        epoch(box, next(numbers), device)
        return {"images": images, "threads": torch.get_num_threads()}

    return run


if __name__ == "__main__":
    logging.getLogger("torchdistill").setLevel(logging.WARNING)
    serve(rounds)
