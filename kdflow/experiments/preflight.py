"""What can be known before any work is asked before it, in one place; everything that is wrong is named at once."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing

from torch import nn

from kdflow import distillers, models
from kdflow.common.errors import KdflowError, UsageError, raise_all
from kdflow.config import CohortConfig, StudentConfig, StudyConfig, TeacherConfig, needs_teacher
from kdflow.distillers.base import Distiller
from kdflow.experiments import grid
from kdflow.models.features import Tapped

CLASSES = 10
"""Of the networks that are tried before the data are known: what they have to show does not depend on it."""


def require(*checks: Callable[[], object]) -> None:
    """Makes all checks.

    Raises:
        KdflowError: what one of them finds wrong; `Problems` if several do.
    """
    problems: list[KdflowError] = []
    for check in checks:
        try:
            check()
        except KdflowError as error:
            problems.append(error)
    raise_all(problems)


def require_networks(config: TeacherConfig | StudentConfig | CohortConfig | StudyConfig) -> None:
    """Makes sure that the networks of a command can be built, and that its distillers find in them what they look at.

    Raises:
        UsageError: there is no such model, distiller or knob, or they do not fit each other.
    """
    if isinstance(config, TeacherConfig):
        _try_network(config.model)
        return
    students = _students(config)
    for one in students:  # settings that are wrong are refused before anything is tried
        _built(one)
    looks = _looked_at(students)
    tries = [lambda: _try_network(students[0].model, "student_taps", looks)]
    if isinstance(config, StudyConfig) and not config.teacher:
        tries.append(lambda: _try_network(config.teacher_model, "teacher_taps", looks))
    require(*tries)


def require_teaching(teacher: nn.Module, config: StudentConfig | CohortConfig | StudyConfig, name: str) -> None:
    """Makes sure that the distillers of a command find what they look at in a teacher that is trained already.

    Raises:
        UsageError: they do not.
    """
    for distiller in _looked_at(_students(config)):
        _require_taps(teacher, distillers.distillers[distiller].teacher_taps, distiller, name)


def _students(config: StudentConfig | CohortConfig | StudyConfig) -> list[StudentConfig]:
    if isinstance(config, StudentConfig):
        return [config]
    return grid.students(config.cohort_config() if isinstance(config, StudyConfig) else config)


def _built(config: StudentConfig) -> Distiller:
    return distillers.build(config.distiller, temperature=config.temperature, knobs=config.knobs)


def _looked_at(students: list[StudentConfig]) -> dict[str, Distiller]:
    """By name, the distillers that any student learns with."""
    return {one.distiller: _built(one) for one in students if needs_teacher(one.alpha)}


def _try_network(name: str, side: str = "", looks: Mapping[str, Distiller] = {}) -> None:
    network = models.build(name, CLASSES, seed=0)
    for distiller, built in looks.items():
        _require_taps(network, getattr(built, side), distiller, name)


def _require_taps(network: nn.Module, taps: Iterable[str], distiller: str, name: str) -> None:
    try:
        with closing(Tapped(network, taps)):
            pass
    except UsageError as error:
        raise UsageError(f"--distiller {distiller} cannot look into {name}: {error}; choose another of them") from None
