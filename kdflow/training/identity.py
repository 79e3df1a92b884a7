"""What a run is known by: its signature, and of its options those that have an effect on it.

A signature is a hash of everything that decides what is computed, as dora has it: options at their default are left
out, so that a new option does not orphan old runs; so are those that say where a run computes and keeps things, and
those without effect. `SCHEMA` is raised whenever a default or the arithmetic changes.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import cast

from kdflow.config import CohortConfig, StudentConfig, StudyConfig, TeacherConfig, logged, needs_teacher, options
from kdflow.config.option import Value, show
from kdflow.data import short_name
from kdflow.distillers import build, distillers

SCHEMA = 1
Trainings = TeacherConfig | StudentConfig | CohortConfig | StudyConfig
TEACHERS = {"teacher", "teacher_run_id"}
"""Params that say which teacher a student has: as it was asked for, and the run that this meant."""
SAID_OTHERWISE = {"precision", "teacher", "temperature", "knobs"}
"""Options that a signature holds as what they came to mean."""
DISTILLING = {"distiller", "temperature", "knobs"}
DECIMALS = 4
"""Of accuracies in tags, at the least."""
_OF_STUDIES = {"temperature": "temperatures", "distiller": "distillers"}


def signature(
    config: TeacherConfig | StudentConfig, *, data: Mapping[str, str], precision: str, teacher: str = ""
) -> str:
    """What a training run is known by: equal for equal trainings, wherever they run.

    Args:
        config: Of the run.
        data: The tags of what it sees: its digests decide, not its name.
        precision: "bf16" or "fp32", which `auto` came to mean.
        teacher: The signature of the run that teaches; of one that has none, its run id; empty without a teacher.

    Returns:
        64 hexadecimal digits.
    """
    role = "teacher" if isinstance(config, TeacherConfig) else "student"
    usual = _usual(cast(type, type(config)))
    kept = {
        name: show(value)
        for name, value in params(config).items()
        if name in usual and value != usual[name] and name not in SAID_OTHERWISE
    }
    if isinstance(config, StudentConfig) and needs_teacher(config.alpha):
        kept |= _settings(config)
    seen = {name: data[name] for name in ("kdflow.data_digest", "kdflow.split_digest")}
    return _hash({"role": role, "options": kept, "precision": precision, "data": seen, "teacher": teacher})


@dataclass(frozen=True)
class Signer:
    """Gives signatures for one data set and arithmetic.

    Attributes:
        data: The tags of what runs see.
        precision: "bf16" or "fp32", which `auto` came to mean.
    """

    data: Mapping[str, str]
    precision: str

    def sign(self, config: TeacherConfig | StudentConfig, teacher: str = "") -> str:
        """See `signature`."""
        return signature(config, data=self.data, precision=self.precision, teacher=teacher)


def joint_signature(role: str, signatures: Sequence[str]) -> str:
    """What several runs together are known by, such as a study or a cohort.

    Args:
        role: What they are together.
        signatures: Of each, in their order.
    """
    return _hash({"role": role, "runs": list(signatures)})


def _settings(config: StudentConfig) -> dict[str, str]:
    """The settings of a student's distiller that are not at their default, however they were given."""
    built = build(config.distiller, temperature=config.temperature, knobs=config.knobs)
    values = {name: getattr(built, name) for name in built.settings()}
    return {
        f"{config.distiller}.{name}": show(value)
        for name, value in values.items()
        if value != built.settings()[name].default
    }


@cache
def _usual(kind: type) -> dict[str, Value]:
    """The defaults of the options of a config that decide what is computed."""
    return {name: spec.default for name, spec in options(kind()).items() if not spec.incidental}


def _hash(facts: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps({"schema": SCHEMA, **facts}, sort_keys=True).encode()).hexdigest()


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


def params(config: Trainings, *, teacher: str = "") -> dict[str, Value]:
    """What a run logs as its params: of a folder of images its name, as its path is a tag.

    Args:
        config: Of the run.
        teacher: The run that teaches, where there is one before this one begins.
    """
    values = logged(config) | {"dataset": short_name(config.data.dataset)}
    values |= {"teacher_run_id": teacher} if teacher else {}
    return {name: value for name, value in values.items() if name not in _without_effect(config) and value != ""}


def version_tags(
    config: TeacherConfig | StudentConfig, scores: Mapping[str, float], *, validated: int
) -> dict[str, Value]:
    """What a registered version is tagged with, beside its data: what it is chosen by.

    Accuracies are rounded, to as many decimals as leave apart what differs by one validation image.

    Args:
        config: Of the run that trained it.
        scores: The `final/` metrics.
        validated: Number of validation images.
    """
    decimals = max(DECIMALS, len(str(validated)))
    tags: dict[str, Value] = {
        f"{part}_accuracy": round(scores[f"final/{part}_accuracy"], decimals) for part in ("val", "test")
    }
    kept: dict[str, Value] = {"seed": config.runtime.seed}
    if isinstance(config, StudentConfig):
        values, usual = params(config), StudentConfig().distiller
        kept |= {name: values[name] for name in ("alpha", "distiller", "temperature", "knobs") if name in values}
        kept = {name: value for name, value in kept.items() if (name, value) != ("distiller", usual)}
    return tags | kept


def _without_effect(config: Trainings) -> set[str]:
    if isinstance(config, StudentConfig):
        return without_effect(config.alpha, config.distiller)
    if isinstance(config, StudyConfig | CohortConfig):
        idle = set.intersection(*(without_effect(min(config.alphas), name) for name in config.distillers)) - TEACHERS
        unsaid = {"seed" if config.seeds else "seeds"} if isinstance(config, StudyConfig) else set()
        return {_OF_STUDIES.get(name, name) for name in idle} | unsaid
    return set()
