"""What can be known before any work is asked before it, in one place; everything that is wrong is named at once."""

from collections.abc import Callable, Iterable
from contextlib import closing

from torch import nn

from kdflow import distillers, models
from kdflow.common.errors import KdflowError, UsageError, raise_all
from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, needs_teacher
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


def require_networks(config: TeacherConfig | StudentConfig | StudyConfig) -> None:
    """Makes sure that the networks of a command can be built, and that its distiller finds in them what it looks at.

    Raises:
        UsageError: there is no such model, distiller or knob, or they do not fit each other.
    """
    if isinstance(config, TeacherConfig):
        _try_network(config.model)
        return
    students = config.student_configs() if isinstance(config, StudyConfig) else [config]
    # A temperature out of place is refused for each; what is looked into is the same for all that are taught.
    methods = [distillers.build(one.distiller, temperature=one.temperature, knobs=one.knobs) for one in students]
    taught = any(needs_teacher(one.alpha) for one in students)
    looks = (methods[0].student_taps, methods[0].teacher_taps) if taught else ((), ())
    tries = [lambda: _try_network(students[0].model, looks[0], students[0].distiller)]
    if isinstance(config, StudyConfig) and not config.teacher:
        tries.append(lambda: _try_network(config.teacher_model, looks[1], config.distiller))
    require(*tries)


def require_teaching(teacher: nn.Module, config: StudentConfig | StudyConfig, name: str) -> None:
    """Makes sure that the distiller of a command finds what it looks at in a teacher that is trained already.

    Raises:
        UsageError: it does not.
    """
    alphas = config.alphas if isinstance(config, StudyConfig) else (config.alpha,)
    if needs_teacher(min(alphas)):
        _require_taps(teacher, distillers.distillers[config.distiller].teacher_taps, config.distiller, name)


def _try_network(name: str, taps: Iterable[str] = (), distiller: str = "") -> None:
    _require_taps(models.build(name, CLASSES, seed=0), taps, distiller, name)


def _require_taps(network: nn.Module, taps: Iterable[str], distiller: str, name: str) -> None:
    try:
        with closing(Tapped(network, taps)):
            pass
    except UsageError as error:
        raise UsageError(f"--distiller {distiller} cannot look into {name}: {error}; choose another of them") from None
