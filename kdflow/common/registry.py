"""A name -> thing table that refuses duplicates and suggests the nearest name."""

from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from importlib import import_module
from pkgutil import walk_packages
from typing import Generic, TypeVar

from kdflow.common.errors import UsageError

T = TypeVar("T")


class Registry(Generic[T]):
    """The things of one kind that a user chooses by name.

    Args:
        kind: What an entry is called in messages, such as "model".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Returns a decorator that enters its argument under `name`.

        Raises:
            ValueError: the name is taken.
        """

        def enter(entry: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def __getitem__(self, name: str) -> T:
        """The entry of that name.

        Raises:
            UsageError: there is none; the message lists the names and suggests the nearest.
        """
        if name not in self._entries:
            near = get_close_matches(name, self._entries, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"unknown {self.kind} {name!r}: {hint}choose one of {', '.join(self._entries)}")
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)


def discover(package: str, path: Iterable[str]) -> None:
    """Imports every module of a package and of the folders in it, so that each registers what it holds."""
    for module in walk_packages(path, f"{package}."):
        import_module(module.name)
