"""A registry gives what was registered, refuses duplicates and suggests the nearest name."""

import sys
from pathlib import Path

import pytest

from kdflow.common.errors import UsageError
from kdflow.common.registry import Registry, discover


@pytest.fixture
def fruits() -> Registry[str]:
    registry: Registry[str] = Registry("fruit")
    registry.register("apple")("red")
    registry.register("banana")("yellow")
    return registry


def test_what_is_registered_is_found_listed_and_returned(fruits: Registry[str]) -> None:
    assert fruits.register("cherry")("dark") == "dark"
    assert list(fruits) == ["apple", "banana", "cherry"]
    assert "cherry" in fruits
    assert "plum" not in fruits
    assert fruits["cherry"] == "dark"


def test_a_name_is_not_given_twice(fruits: Registry[str]) -> None:
    with pytest.raises(ValueError, match="fruit 'apple' is registered twice"):
        fruits.register("apple")("green")
    assert fruits["apple"] == "red"


def test_the_nearest_name_is_suggested(fruits: Registry[str]) -> None:
    with pytest.raises(UsageError) as caught:
        fruits["aple"]
    assert str(caught.value) == "unknown fruit 'aple': did you mean 'apple'? choose one of apple, banana"


def test_nothing_is_suggested_where_nothing_is_near(fruits: Registry[str]) -> None:
    with pytest.raises(UsageError, match=r"^unknown fruit 'xyz': choose one of apple, banana$"):
        fruits["xyz"]


def test_a_new_file_in_a_package_registers_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "orchard"
    package.mkdir()
    (package / "__init__.py").write_text("grown = []\n")
    (package / "one.py").write_text("from orchard import grown\ngrown.append('one')\n")
    (package / "two.py").write_text("from orchard import grown\ngrown.append('two')\n")
    monkeypatch.syspath_prepend(tmp_path)
    discover("orchard", [str(package)])
    assert sys.modules["orchard"].grown == ["one", "two"]
    for name in ("orchard", "orchard.one", "orchard.two"):
        del sys.modules[name]
