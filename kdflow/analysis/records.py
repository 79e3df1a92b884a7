"""What a record of a run says, as a comparison needs it: numbers, settings in one spelling, whether it can be used."""

import math
from functools import cache
from pathlib import Path

from kdflow.common.errors import UsageError
from kdflow.config import StudentConfig, options
from kdflow.config.option import show
from kdflow.data import lasting_name, short_name
from kdflow.distillers import distillers
from kdflow.models.cost import PARAMETERS, SIZES
from kdflow.tracking.record import Record
from kdflow.training.identity import DISTILLING, TEACHERS, without_effect

FINAL = ("final/train_accuracy", "final/val_accuracy", "final/test_accuracy")
OPTIONS = options(StudentConfig())
# What the params of a run say beyond where it computes and what it learns from.
INCIDENTAL = {name for name, spec in OPTIONS.items() if spec.incidental} | TEACHERS | set(SIZES)
LOSS = {"alpha"} | DISTILLING
NUMBERS = {"teacher": ("seed", "epochs"), "student": ("seed", "epochs", "alpha")}


def is_of(record: Record, dataset: str) -> bool:
    """Whether a run is on the data set that is asked for; of a folder, not one that another of its name is on."""
    place = lasting_name(dataset)
    theirs = record.tags.get("kdflow.dataset", place)
    elsewhere = place != dataset and theirs != place and Path(theirs).is_dir()
    return record.tags["kdflow.data"] == short_name(dataset) and not elsewhere


def unusable(record: Record) -> str | None:
    """Why a run cannot be compared, or None if it can."""
    if record.status != "FINISHED":
        return "unfinished"
    numbers = [record.params.get(name) for name in NUMBERS[role(record)]]
    if "temperature" in record.params or is_softened(record):
        numbers.append(record.params.get("temperature"))
    figures = [record.metrics.get(name, math.nan) for name in FINAL]
    whole = (
        {"kdflow.data", "kdflow.data_digest", "kdflow.split_digest"} <= record.tags.keys()
        and "model" in record.params
        and all(map(is_number, numbers))
        and all(map(math.isfinite, figures))
        and 1 <= parameters_of(record) < math.inf
        and record.trained >= number(record, "epochs")
    )
    return None if whole else "without all epochs, figures and settings"


def is_number(text: str | None) -> bool:
    """Whether a param is there and a finite number."""
    try:
        return text is not None and math.isfinite(float(text))
    except ValueError:
        return False


def role(record: Record) -> str:
    """Returns "teacher" or "student"."""
    return record.tags["kdflow.role"]


def number(record: Record, param: str) -> float:
    """A param that is a number."""
    return float(record.params[param])


def seed_of(record: Record) -> int:
    """The seed of a run."""
    return int(number(record, "seed"))


def parameters_of(record: Record) -> float:
    """How many weights were trained, which older runs have as a metric; not a number where it is not known."""
    if is_number(record.params.get(PARAMETERS)):
        return number(record, PARAMETERS)
    return record.metrics.get("model/parameters", math.nan)


def temperature(record: Record) -> float:
    """The temperature as it was logged; 0 where it was not."""
    return number(record, "temperature") if "temperature" in record.params else 0.0


def is_softened(record: Record) -> bool:
    """Whether a student's distiller has a temperature, as far as it is registered here."""
    known = record.params.get("distiller") in distillers and is_number(record.params.get("alpha"))
    return known and "temperature" not in idle(record)


def idle(record: Record) -> set[str]:
    """What `mlflow run` and older versions log all the same."""
    return without_effect(number(record, "alpha"), record.params.get("distiller", ""))


def settings_of(record: Record, *, without: set[str]) -> tuple[tuple[str, str], ...]:
    """What a run computed, as sorted pairs of param and value: equal for runs that differ in nothing but `without`."""
    ignored = INCIDENTAL | without
    settled = {name: record.tags.get(f"kdflow.{name}", value) for name, value in record.params.items()}
    said = {name: value for name, value in settled.items() if value and name not in ignored}
    return tuple(sorted((name, _plain(name, value)) for name, value in said.items()))


@cache
def _plain(name: str, value: str) -> str:
    """One spelling for all that mean the same: `mlflow run` logs what the user typed."""
    try:
        return show(OPTIONS[name].read(name, value))
    except (KeyError, UsageError):
        return value
