"""kdflow: what does a small student gain from a teacher under a restricted number of epochs?

`config` holds every option, `data`, `models` and `distillers` the things that are chosen by name, `training` the one
training loop, `tracking` everything MLflow, and `experiments` puts them together: a teacher, a cohort of students, a
comparison. `cli` is the same from a shell, and the functions below are the same from Python:

    import kdflow

    comparison = kdflow.run_study(dataset="digits", alphas=(1, 0))
"""

from importlib import import_module
from typing import TYPE_CHECKING

from kdflow.common.errors import KdflowError
from kdflow.common.version import __version__

if TYPE_CHECKING:
    from kdflow.api import export, predict, run_cohort, run_compare, run_report, run_student, run_study, run_teacher

__all__ = [
    "KdflowError",
    "__version__",
    "export",
    "predict",
    "run_cohort",
    "run_compare",
    "run_report",
    "run_student",
    "run_study",
    "run_teacher",
]


def __getattr__(name: str) -> object:
    """What the package offers is imported when it is first asked for."""
    if name in __all__:
        return getattr(import_module("kdflow.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
