"""What teaches: a frozen network, its one forward for a whole cohort, and its kept logits."""

from kdflow.common.registry import discover
from kdflow.teachers.base import Teacher, controls
from kdflow.teachers.frozen import Frozen

__all__ = ["Frozen", "Teacher", "controls"]

discover(__name__, __path__)
