"""One option: its default, range and help, and how text becomes a checked value."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kdflow.common.errors import UsageError

Value = str | int | float | bool | tuple[float, ...] | tuple[int, ...] | tuple[str, ...]
MOST_SEEDS = 100_000
"""Numbers that a range such as 0-4 may stand for."""


@dataclass(frozen=True)
class Option:
    """What a setting may be.

    Attributes:
        default: The value when nothing is said; its type is the option's type.
        help: One sentence for `--help`.
        low: Smallest number allowed.
        high: Largest number allowed.
        above: Number that the value must exceed.
        choices: The only texts allowed.
        words: Texts allowed in place of a number.
        incidental: Whether it says where a run finds or computes things, and not what it computes.
        metavar: What stands for its value in `--help` where the type alone says too little, such as "PATH".
        group: The heading of `--help` under which it stands, such as "method".
        each: The type of the values of an option that takes several: float, str, or int, where 0-4 is a range.
    """

    default: Value
    help: str
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    incidental: bool = False
    metavar: str = ""
    group: str = ""
    each: type = float

    @property
    def kind(self) -> str:
        """What stands for its value in `--help`."""
        if self.choices:
            return f"[{'|'.join(self.choices)}]"
        if isinstance(self.default, tuple):
            return self.metavar or f"{_KINDS[self.each]},..."
        return self.metavar or _KINDS[type(self.default)]

    @property
    def allowed(self) -> str:
        """The range in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        what = _WORDS[self.each][1] if isinstance(self.default, tuple) else _WORDS[type(self.default)][0]
        if self.low is not None and self.high is not None:
            what += f" from {self.low:g} to {self.high:g}"
        elif self.low is not None:
            what += f" of at least {self.low:g}"
        elif self.above is not None and self.high is not None:
            what += f" above {self.above:g} and up to {self.high:g}"
        elif self.above is not None:
            what += f" above {self.above:g}"
        what += " separated by commas" if isinstance(self.default, tuple) else ""
        what += ", or a range such as 0-4" if isinstance(self.default, tuple) and self.each is int else ""
        return " or ".join((what, *self.words))

    def read(self, name: str, raw: object) -> Any:
        """Turns text (or a value from a notebook) into a checked value.

        Args:
            name: The option as the user knows it, such as "--alpha".
            raw: What the user gave.

        Raises:
            UsageError: it is no such value or out of range.
        """
        if isinstance(raw, str) and raw in self.words:
            return raw
        try:
            value = self._parsed(raw)
        except UnicodeEncodeError:
            raise UsageError(f"{name} is {raw!r}, which is no UTF-8: rename what it names, or link to it") from None
        except (ValueError, TypeError, OverflowError):
            raise self._refusal(name, raw) from None
        numbers = value if isinstance(value, tuple) else (value,)
        if not all(self._fits(number) for number in numbers):
            raise self._refusal(name, raw)
        return value

    def _parsed(self, raw: object) -> Any:
        if not isinstance(self.default, tuple):
            return _PARSERS[type(self.default)](raw)
        values = tuple(dict.fromkeys(value for part in _parts(raw) for value in _SEVERAL[self.each](part)))
        if not values and self.default:
            raise ValueError(raw)
        return values

    def _fits(self, value: Value) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, bool | str):
            return True
        assert not isinstance(value, tuple)
        return (
            math.isfinite(value)
            and (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
        )

    def _refusal(self, name: str, raw: object) -> UsageError:
        text = ",".join(map(str, raw)) if isinstance(raw, tuple | list) else str(raw)
        return UsageError(f"{name} is {text!r}: give {self.allowed} (default {show(self.default)})")


def option(default: Value, help: str, **limits: Any) -> Any:
    """A dataclass field that carries its `Option`."""
    return field(default=default, metadata={"option": Option(default, help, **limits)})


def flag(name: str) -> str:
    """The command-line spelling of an option."""
    return "--" + name.replace("_", "-")


def show(value: Value) -> str:
    """The text that `Option.read` turns back into the value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return _show_several(value)
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _show_several(values: tuple[Any, ...]) -> str:
    """Values separated by commas; whole numbers one after the other as a range."""
    if (
        len(values) > 2
        and all(type(one) is int for one in values)
        and list(values) == [*range(values[0], values[0] + len(values))]
    ):
        return f"{values[0]}-{values[-1]}"
    return ",".join(show(one) for one in values)


def _read_bool(raw: object) -> bool:
    try:
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[str(raw).lower()]
    except KeyError:
        raise ValueError(raw) from None


def _read_int(raw: object) -> int:
    number = float(str(raw))
    if not number.is_integer():
        raise ValueError(raw)
    return int(number)


def _read_float(raw: object) -> float:
    return float(str(raw))


def _read_text(raw: object) -> str:
    text = os.fspath(raw) if isinstance(raw, os.PathLike) else raw
    if isinstance(raw, Mapping):  # knobs, from a notebook
        text = ",".join(f"{name}={value}" for name, value in raw.items())
    if not isinstance(text, str):
        raise TypeError(raw)
    text.encode()  # no store and no file takes a name that is no Unicode
    return text


def _parts(raw: object) -> Iterable[object]:
    if isinstance(raw, str):
        return raw.split(",") if raw.strip() else ()
    try:
        return tuple(raw)  # type: ignore[arg-type]
    except TypeError:  # one number
        return (raw,)


def _read_range(raw: object) -> Iterable[int]:
    first, dash, last = str(raw).strip().partition("-")
    if not (dash and first):
        return (_read_int(raw),)
    numbers = range(_read_int(first), _read_int(last) + 1)
    if not 0 < len(numbers) <= MOST_SEEDS:
        raise ValueError(raw)
    return numbers


def _read_name(raw: object) -> Iterable[str]:
    name = _read_text(raw).strip()
    if not name:
        raise ValueError(raw)
    return (name,)


_KINDS = {bool: "[true|false]", int: "INTEGER", float: "NUMBER", str: "TEXT"}
_WORDS = {
    bool: ("true or false", ""),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "names"),
}
_PARSERS: dict[type, Callable[[object], Value]] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_text,
}
_SEVERAL: dict[type, Callable[[object], Iterable[Any]]] = {
    int: _read_range,
    float: lambda raw: (_read_float(raw),),
    str: _read_name,
}
