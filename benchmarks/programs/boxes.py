"""Training and distillation through torchdistill's boxes, set up by its configuration dicts.

Runs in an environment of its own (`benchmarks/torchdistill.txt`). Models, images, batch, loss and optimiser are
kdflow's; transforms and loaders are those of the tutorial.
"""

import itertools
import logging
import os
from typing import Any

import torch
from measuring import cohorts
from measuring.sample import read
from measuring.worker import Job, Orders, Reply, Round, serve
from programs.tutorial import Images, T, accuracy, transforms_of
from torchdistill.core.distillation import DistillationBox
from torchdistill.core.training import TrainingBox

from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, Recipe
from kdflow.data import Dataset

Box = Any  # of torchdistill, whose environment is its own
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
BOTH = {"student_module_path": ".", "student_module_io": "output"}
BOTH |= {"teacher_module_path": ".", "teacher_module_io": "output"}


def loader(split: str, sampler: type, *, drop_last: bool = False) -> dict[str, Any]:
    """As the tutorial's."""
    kwargs = {"num_workers": os.cpu_count() or 1, "persistent_workers": True, "drop_last": drop_last}
    return {
        "dataset_id": split,
        "sampler": {"class_or_func": sampler},
        "kwargs": {"batch_size": STUDENT_RECIPE.batch_size, **kwargs},
    }


def train_config(recipe: Recipe, criterion: dict[str, Any], *, drop_last: bool) -> dict[str, Any]:
    sgd = {"lr": recipe.lr, "momentum": recipe.momentum, "weight_decay": recipe.weight_decay}
    sgd["nesterov"] = recipe.momentum > 0
    terms = {"loss": {**criterion, "weight": 1.0}}
    return {
        "num_epochs": recipe.epochs,
        "train_data_loader": loader("train", torch.utils.data.RandomSampler, drop_last=drop_last),
        "val_data_loader": loader("val", torch.utils.data.SequentialSampler),
        "optimizer": {"key": "SGD", "kwargs": sgd, "max_grad_norm": recipe.clip_norm},
        "criterion": {"key": "WeightedSumLoss", "kwargs": {"sub_terms": terms}},
    }


def box_of(job: Job, data: Dataset, device: torch.device) -> Box:
    plain, augmented = transforms_of(data)
    images = {"train": Images(data.train, augmented), "val": Images(data.val, plain)}
    drop_last = len(data.train) >= STUDENT_RECIPE.batch_size
    teacher = cohorts.teacher(len(data.classes), seed=0).model.to(device)
    if not job.alphas:
        config = train_config(TEACHER_RECIPE, LABELS, drop_last=drop_last)
        config["model"] = {"forward_proc": "forward_batch_only"}
        return TrainingBox(teacher, images, config, device, None, False, 1)
    (student,) = cohorts.students(len(data.classes), job.alphas, seed=0)
    settings = {"temperature": T, "alpha": student.alpha, "reduction": "batchmean"}
    loss = {"key": "KDLoss", "kwargs": {**BOTH, **settings}}
    config = train_config(STUDENT_RECIPE, {"criterion": loss}, drop_last=drop_last)
    config["teacher"] = {"forward_proc": "forward_batch_only", "requires_grad": False}
    config["student"] = {"forward_proc": "forward_batch_only", "requires_grad": True}
    return DistillationBox(teacher.eval(), student.model.to(device), images, config, device, None, False, 1)


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


def rounds(orders: Orders) -> dict[str, Round]:
    device, data = torch.device(orders.device), read(orders.sample)

    def epochs(job: Job) -> Round:
        box, numbers = box_of(job, data, device), itertools.count()

        def run() -> Reply:
            epoch(box, next(numbers), device)
            images = len(box.train_data_loader) * STUDENT_RECIPE.batch_size
            return {"images": images, "threads": torch.get_num_threads()}

        return run

    return {job.name: epochs(job) for job in orders.jobs}


if __name__ == "__main__":
    logging.getLogger("torchdistill").setLevel(logging.WARNING)
    serve(rounds)
