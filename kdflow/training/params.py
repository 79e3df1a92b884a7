"""What a run is known by: of its options those that have an effect on it, as params and as tags of its model."""

from collections.abc import Mapping

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, logged, needs_teacher
from kdflow.config.option import Value
from kdflow.distillers import distillers

TEACHERS = {"teacher", "teacher_run_id"}
"""Params that say which teacher a student has: as it was asked for, and the run that this meant."""
DISTILLING = {"distiller", "temperature", "knobs"}


def without_effect(alpha: float, distiller: str) -> set[str]:
    """The params that a student does not have: at alpha = 1 no teacher says anything, and not every distiller softens.

    Args:
        alpha: Weight of the labels.
        distiller: Its name; of one that is not registered here, nothing is known.
    """
    if not needs_teacher(alpha):
        return DISTILLING | TEACHERS
    if distiller in distillers and "temperature" not in distillers[distiller].settings():
        return {"temperature"}
    return set()


def params(config: TeacherConfig | StudentConfig | StudyConfig, *, teacher: str = "") -> dict[str, Value]:
    """What a run logs as its params.

    Args:
        config: Of the run.
        teacher: The run that teaches, where there is one before this one begins.
    """
    values = logged(config) | ({"teacher_run_id": teacher} if teacher else {})
    return {name: value for name, value in values.items() if name not in _without_effect(config)}


def version_tags(config: TeacherConfig | StudentConfig, scores: Mapping[str, float]) -> dict[str, Value]:
    """What a registered version is tagged with, beside its data.

    Args:
        config: Of the run that trained it.
        scores: The `final/` metrics.
    """
    tags: dict[str, Value] = {name.removeprefix("final/"): value for name, value in scores.items()}
    tags |= {"seed": config.runtime.seed, "model": config.model}
    if isinstance(config, StudentConfig):
        values = params(config)
        tags |= {
            name: values[name] for name in ("alpha", "distiller", "temperature", "knobs") if values.get(name, "") != ""
        }
    return tags


def _without_effect(config: TeacherConfig | StudentConfig | StudyConfig) -> set[str]:
    if isinstance(config, StudentConfig):
        return without_effect(config.alpha, config.distiller)
    if isinstance(config, StudyConfig):
        idle = without_effect(min(config.alphas), config.distiller)
        return {"temperatures" if name == "temperature" else name for name in idle - TEACHERS}
    return set()
