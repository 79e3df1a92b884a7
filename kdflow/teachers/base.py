"""What a teacher is: whatever makes activations of images for a cohort of students."""

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Protocol

from torch import Tensor

from kdflow.common.registry import Registry
from kdflow.data import Dataset
from kdflow.device.runtime import Runtime
from kdflow.models.features import Activations

Teach = Callable[[Tensor, Tensor, Tensor], Activations]
"""From normalised images `[batch, 3, 32, 32]`, labels int64 `[batch]` and the index of each image in its split int64
`[batch]` to activations in float32, without gradients."""


class Teacher(Protocol):
    """Teaches by name of activation; the frozen network does, and so can anything else."""

    def teaching(self, taps: Collection[str], runtime: Runtime) -> AbstractContextManager[Teach]:
        """Within this, there is a function that teaches.

        Args:
            taps: What it has to give (see `kdflow.models.features.Tapped`).
            runtime: Device and arithmetic.

        Raises:
            UsageError: it cannot give that.
        """

    def fingerprint(self) -> str:
        """What its logits depend on beside images and arithmetic; empty if they are not to be kept."""


controls: Registry[Callable[["Teacher", Dataset], "Teacher"]] = Registry("control teacher")
"""Teachers to compare with: from the real teacher and the data to one that lacks what is in question."""
