"""Distillation the way PyTorch's own tutorial goes about it, written afresh.

PIL transforms in a DataLoader with a worker for each core, float32, one student at a time, the teacher in every step of
a distilled student, the running loss read in every step. Two concessions: the workers of the loader live on between
epochs, and training on CUDA copies from pinned memory without waiting. Models, images, batch, loss and optimiser are
kdflow's, so that the two differ in nothing but how they go about it.
"""

import os
from collections.abc import Callable

import torch
from measuring.sample import read
from measuring.worker import Job, Orders, Reply, serve
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import kdflow.data
from kdflow import models
from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, TEMPERATURE, Recipe
from kdflow.data.base import Split
from kdflow.models.alexnet import AlexNet

T = float(TEMPERATURE.default)


Transform = Callable[[Image.Image], Tensor]


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


def loaders(data: kdflow.data.Dataset, device: torch.device) -> tuple[DataLoader, DataLoader]:
    plain, augmented = transforms_of(data)
    train, val = Images(data.train, augmented), Images(data.val, plain)
    batch_size = STUDENT_RECIPE.batch_size
    options = {"num_workers": os.cpu_count() or 1, "persistent_workers": True, "pin_memory": device.type == "cuda"}
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
        self.optimizer = torch.optim.SGD(
            model.parameters(),
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay,
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

    def epoch(self, train: DataLoader, device: torch.device) -> float:
        self.model.train()
        running_loss = 0.0
        for images, labels in train:
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            running_loss += self.step(images, labels).item()
        return running_loss / len(train)


@torch.no_grad()
def accuracy(model: nn.Module, val: DataLoader, device: torch.device) -> float:
    model.eval()
    correct = total = 0
    for images, labels in val:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        total += len(labels)
        correct += (model(images).argmax(1) == labels).sum().item()
    return correct / total


def training_of(job: Job, classes: int, device: torch.device) -> Training:
    """The teacher's, or that of one student whose teacher has fresh weights."""
    teacher = AlexNet(classes, widths=job.widths) if job.widths else models.build("alexnet", classes, seed=0)
    teacher.to(device)
    if not job.alphas:
        return Training(teacher, 1.0, None, TEACHER_RECIPE)
    (alpha,) = job.alphas
    return Training(models.build("small-cnn", classes, seed=0).to(device), alpha, teacher.eval(), STUDENT_RECIPE)


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    if orders.jobs[0].threads:
        torch.set_num_threads(orders.jobs[0].threads)
    device, data = torch.device(orders.device), read(orders.sample)
    train, val = loaders(data, device)
    return {job.name: _round(training_of(job, len(data.classes), device), train, val, device) for job in orders.jobs}


def _round(training: Training, train: DataLoader, val: DataLoader, device: torch.device) -> Callable[[], Reply]:
    def run() -> Reply:
        training.epoch(train, device)
        accuracy(training.model, val, device)
        return {"images": len(train) * STUDENT_RECIPE.batch_size, "threads": torch.get_num_threads()}

    return run


if __name__ == "__main__":
    serve(rounds)
