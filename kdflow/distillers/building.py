"""From the name and settings that a user gives to a distiller."""

from collections.abc import Mapping

from kdflow.common.errors import UsageError
from kdflow.config import TEMPERATURE
from kdflow.config.option import Option, Value
from kdflow.distillers.base import Distiller, distillers


def build(name: str, *, temperature: float = float(TEMPERATURE.default), knobs: str = "") -> Distiller:  # type: ignore[arg-type]
    """A distiller with its settings.

    Args:
        name: A registered distiller.
        temperature: For distillers that have one; others accept the default only.
        knobs: Further settings as "name=value,name=value".

    Raises:
        UsageError: no such distiller or setting, or a value out of range.
    """
    kind = distillers[name]
    known, given = kind.settings(), dict(_pairs(knobs))
    if "temperature" in given:
        raise UsageError("--knobs has a temperature: give it as --temperature")
    if "temperature" in known:
        given["temperature"] = str(temperature)
    elif temperature != TEMPERATURE.default:
        raise UsageError(f"--temperature is {temperature:g}: {name} has no temperature; leave it out")
    return kind(**_read(name, known, given))


def _pairs(knobs: str) -> list[tuple[str, str]]:
    pairs = [pair.partition("=") for pair in knobs.split(",") if pair.strip()]
    if any(not equals for _, equals, _ in pairs):
        raise UsageError(f"--knobs is {knobs!r}: give name=value,name=value")
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _read(name: str, known: Mapping[str, Option], given: Mapping[str, str]) -> dict[str, Value]:
    for knob in given:
        if knob not in known:
            raise UsageError(f"--knobs: {name} has no knob {knob!r}; it has {', '.join(known) or 'none'}")
    return {knob: spec.read(f"--knobs {knob}", given.get(knob, spec.default)) for knob, spec in known.items()}
