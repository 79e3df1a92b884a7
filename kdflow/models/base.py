"""Models by name: float images `[batch, 3, 32, 32]`, normalised, to logits `[batch, classes]`."""

from collections.abc import Callable

import torch
from torch import nn

from kdflow.common.errors import UsageError
from kdflow.common.registry import Registry
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.torchvision_models import PREFIX, named_alike, torchvision_model

models: Registry[Callable[[int], nn.Module]] = Registry("model")
"""A name and a number of classes give a network from images to logits."""


def build(name: str, classes: int, *, seed: int) -> nn.Module:
    """A model with fresh weights; the same name, classes and seed give the same weights.

    Args:
        name: A registered model, or `torchvision:` and the name of any torchvision classification model.
        classes: Number of logits.
        seed: Of the initial weights.

    Raises:
        UsageError: there is no such model, or it cannot take 32x32 images.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # on the CPU, whose weights are the same on every machine
        model = torchvision_model(name, classes) if name.startswith(PREFIX) else _registered(name)(classes)
    _check(name, model, classes)
    return model


def _registered(name: str) -> Callable[[int], nn.Module]:
    if name not in models and (theirs := named_alike(name)):
        raise UsageError(
            f"unknown model {name!r}: did you mean {PREFIX}{theirs}? choose one of {', '.join(models)}, {PREFIX}NAME"
        )
    return models[name]


def _check(name: str, model: nn.Module, classes: int) -> None:
    model.eval()
    try:
        with torch.no_grad():
            logits = model(torch.zeros(2, 3, IMAGE_SIZE, IMAGE_SIZE))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UsageError(f"model {name!r} cannot take {IMAGE_SIZE}x{IMAGE_SIZE} images: {reason}") from None
    if getattr(logits, "shape", None) != (2, classes):
        raise UsageError(f"model {name!r} does not give one logit for each of {classes} classes")
    model.train()
