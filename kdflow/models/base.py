"""The registry of models: a name and a number of classes give a network from images to logits."""

from collections.abc import Callable

from torch import nn

from kdflow.registry import Registry

models: Registry[Callable[[int], nn.Module]] = Registry("model")
