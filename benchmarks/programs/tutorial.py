"""Distillation the way PyTorch's own tutorial goes about it, written afresh.

PIL transforms in a DataLoader with a worker for each core, float32, one student at a time, the teacher in every step of
a distilled student, the running loss read in every step. Two concessions: the workers of the loader live on between
epochs, and training on CUDA copies from pinned memory without waiting. Models, images, batch, loss and optimiser are
kdflow's, so that the two differ in nothing but how they go about it.
"""

import os
from collections.abc import Callable
from typing import Any

import torch
from measuring import cohorts
from measuring.sample import read
from measuring.worker import Job, Orders, Reply, Round, serve
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import kdflow.data
from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, TEMPERATURE, Recipe
from kdflow.data.base import Split

T = float(str(TEMPERATURE.default))
Transform = Callable[[Image.Image], Tensor]
Loader = DataLoader[Any]


class Images(Dataset[tuple[Tensor, int]]):
    """Images as PIL has them, each transformed when it is asked for."""

    def __init__(self, split: Split, transform: Transform) -> None:
        self.images = split.images.permute(0, 2, 3, 1).contiguous().numpy()
        self.labels = split.labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def transforms_of(data: kdflow.data.Dataset) -> tuple[Transform, Transform]:
    """For validation and for training images."""
    plain = [transforms.ToTensor(), transforms.Normalize(data.mean, data.std)]
    mirror = [transforms.RandomHorizontalFlip()] if data.mirrored else []
    return transforms.Compose(plain), transforms.Compose([transforms.RandomCrop(32, padding=4), *mirror, *plain])


def loaders(data: kdflow.data.Dataset, device: torch.device) -> tuple[Loader, Loader]:
    plain, augmented = transforms_of(data)
    train, val = Images(data.train, augmented), Images(data.val, plain)
    batch_size = STUDENT_RECIPE.batch_size
    options: dict[str, Any] = {
        "num_workers": os.cpu_count() or 1,
        "persistent_workers": True,
        "pin_memory": device.type == "cuda",
    }
    return (
        # kdflow too leaves out an incomplete last batch.
        DataLoader(train, batch_size, shuffle=True, drop_last=len(train) >= batch_size, **options),
        DataLoader(val, batch_size, **options),
    )


def loss_of(logits: Tensor, labels: Tensor, alpha: float, teacher_logits: Tensor | None) -> Tensor:
    """`alpha` times cross-entropy with the labels, the rest T^2 times cross-entropy with the softened teacher."""
    label_loss = nn.functional.cross_entropy(logits, labels)
    if teacher_logits is None:
        return label_loss
    soft_targets = nn.functional.softmax(teacher_logits / T, dim=-1)
    soft_prob = nn.functional.log_softmax(logits / T, dim=-1)
    soft_loss = -torch.sum(soft_targets * soft_prob) / len(logits) * T**2
    return alpha * label_loss + (1 - alpha) * soft_loss


class Training:
    """One model in training."""

    def __init__(self, model: nn.Module, alpha: float, teacher: nn.Module | None, recipe: Recipe) -> None:
        self.model, self.alpha, self.recipe = model, alpha, recipe
        self.teacher = teacher if alpha < 1 else None
        nesterov, decay = recipe.momentum > 0, recipe.weight_decay
        self.optimizer = torch.optim.SGD(
            model.parameters(), recipe.lr, recipe.momentum, weight_decay=decay, nesterov=nesterov
        )

    def step(self, images: Tensor, labels: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        teacher_logits = None
        if self.teacher:
            with torch.no_grad():
                teacher_logits = self.teacher(images)
        loss = loss_of(self.model(images), labels, self.alpha, teacher_logits)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        return loss

    def epoch(self, train: Loader, device: torch.device) -> float:
        self.model.train()
        running_loss = 0.0
        for images, labels in train:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            running_loss += self.step(images, labels).item()
        return running_loss / len(train)


@torch.no_grad()
def accuracy(model: nn.Module, val: Loader, device: torch.device) -> float:
    model.eval()
    correct = total = 0
    for images, labels in val:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        total += len(labels)
        correct += (model(images).argmax(1) == labels).sum().item()
    return correct / total


def training_of(job: Job, classes: int, device: torch.device) -> Training:
    """The teacher's, or that of one student whose teacher has fresh weights."""
    teacher = cohorts.teacher(classes, seed=0).model.to(device)
    if not job.alphas:
        return Training(teacher, 1.0, None, TEACHER_RECIPE)
    (student,) = cohorts.students(classes, job.alphas, seed=0)
    return Training(student.model.to(device), student.alpha, teacher.eval(), STUDENT_RECIPE)


def rounds(orders: Orders) -> dict[str, Round]:
    device, data = torch.device(orders.device), read(orders.sample)
    train, val = loaders(data, device)

    def epochs(job: Job) -> Round:
        training = training_of(job, len(data.classes), device)

        def run() -> Reply:
            training.epoch(train, device)
            accuracy(training.model, val, device)
            return {"images": len(train) * STUDENT_RECIPE.batch_size, "threads": torch.get_num_threads()}

        return run

    return {job.name: epochs(job) for job in orders.jobs}


if __name__ == "__main__":
    serve(rounds)
