"""Configs as frozen dataclasses of options: checked when made, set by flat name from text or values."""

from collections.abc import Iterator, Mapping
from dataclasses import Field, field, fields, replace
from typing import Any, TypeVar

from kdflow.common.errors import UsageError, raise_all
from kdflow.common.suggestions import close, variants
from kdflow.config.option import Option, Value, flag, show

AnyConfig = TypeVar("AnyConfig", bound="Checked")


class Checked:
    """Checks each option of a config when it is made.

    Raises:
        UsageError: an option has a value that it cannot have.
    """

    def __post_init__(self) -> None:
        for spec in fields(self):  # type: ignore[arg-type]
            if "option" in spec.metadata:
                value = spec.metadata["option"].read(flag(spec.name), getattr(self, spec.name))
                object.__setattr__(self, spec.name, value)


def group(default: Any, heading: str, *, prefix: str = "") -> Any:
    """A dataclass field that holds further options, under one heading of `--help`, their names prefixed."""
    return field(default=default, metadata={"prefix": prefix, "heading": heading})


def of(spec: Option) -> Any:
    """A dataclass field for an option that several configs share."""
    return field(default=spec.default, metadata={"option": spec})


def flat(config: Checked) -> dict[str, Value]:
    """All values of a config by flat name."""
    return {prefix + spec.name: getattr(owner, spec.name) for owner, spec, prefix, _ in _walk(config)}


def texts(config: Checked) -> dict[str, str]:
    """All values of a config by flat name, as they would be typed."""
    return {name: show(value) for name, value in flat(config).items()}


def _walk(config: Checked, prefix: str = "", heading: str = "") -> Iterator[tuple[Checked, Field[Any], str, str]]:
    for spec in fields(config):  # type: ignore[arg-type]
        if "option" in spec.metadata:
            yield config, spec, prefix, heading
        else:
            below = spec.metadata
            yield from _walk(getattr(config, spec.name), prefix + below["prefix"], below["heading"])


def options(config: Checked) -> dict[str, Option]:
    """All options of a config by flat name, such as `teacher_epochs`; the defaults are the config's values."""
    return {
        prefix + spec.name: replace(
            spec.metadata["option"],
            default=getattr(owner, spec.name),
            group=spec.metadata["option"].group or heading,
        )
        for owner, spec, prefix, heading in _walk(config)
    }


def named_otherwise(name: str, config: Checked) -> str:
    """What to choose from in place of a name that no option has, and which of it may have been meant."""
    known, command = options(config), type(config).__name__.removesuffix("Config").lower()
    near = variants(name, known, command=command) or close(name, known)
    return f"choose from {', '.join(known)}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def configure(config: AnyConfig, /, **values: object) -> AnyConfig:
    """A copy of the config with some options set, by flat name, from text or typed values.

    Raises:
        UsageError: an option is unknown or has a value that it cannot have; `Problems` if several are wrong.
    """
    known = options(config)
    checked, problems = {}, []
    for name, raw in values.items():
        try:
            if name not in known:
                raise UsageError(f"there is no option {name!r}: {named_otherwise(name, config)}")
            checked[name] = known[name].read(flag(name), raw)
        except UsageError as error:
            problems.append(error)
    raise_all(problems)
    return _with(config, checked, prefix="")


def _with(config: Any, values: Mapping[str, Any], prefix: str) -> Any:
    changes = {}
    for spec in fields(config):
        if "option" not in spec.metadata:
            changes[spec.name] = _with(getattr(config, spec.name), values, prefix + spec.metadata["prefix"])
        elif prefix + spec.name in values:
            changes[spec.name] = values[prefix + spec.name]
    return replace(config, **changes)
