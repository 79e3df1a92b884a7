"""Options in a YAML file, for `--config` and as each run logs them."""

from pathlib import Path
from typing import Any

import yaml

from kdflow.common.errors import UsageError, raise_all
from kdflow.config import Checked, logged, named_otherwise, options
from kdflow.config.option import Value, flag

LARGEST = 1 << 20
"""Bytes: a file of options has a page."""


def read(path: str, config: Checked) -> dict[str, object]:
    """Options by flat name from a YAML file.

    Args:
        path: Of the file.
        config: Whose options they are.

    Raises:
        UsageError: it cannot be read, is no table of options, or holds one that there is not; `Problems` if several are
            wrong.
    """
    content, known = _parsed(path), options(config)
    if not isinstance(content, dict):
        raise UsageError(f"--config {path}: give a table of options, a line `name: value` each")
    found, problems = {}, []
    for name, value in content.items():
        try:
            if name not in known:
                raise UsageError(f"there is no option {name!r}: {named_otherwise(str(name), config)}")
            found[name] = known[name].read(flag(name), _single(name, value))
        except UsageError as error:
            problems.append(UsageError(f"--config {path}: {error}"))
    raise_all(problems)
    return found


def text(command: str, config: Checked, **settled: Value) -> str:
    """The file that starts the same run again.

    Args:
        command: That takes it, such as "student".
        config: Of the run.
        settled: Options that are known better by now, such as which teacher was found.
    """
    values = {**logged(config), **settled}
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}
    body = yaml.safe_dump(shown, sort_keys=False, allow_unicode=True, width=1000)
    return f"# The same run again: kdflow {command} --config config.yaml\n{body}"


def _parsed(path: str) -> object:
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError("it is too large for a file of options")
        return yaml.load(content.decode(), Loader=_Strict)
    except OSError as error:
        raise UsageError(f"--config {path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, ValueError, RecursionError, RuntimeError) as error:
        raise UsageError(f"--config {path} is no YAML: {' '.join(str(error).split())}") from None


class _Strict(yaml.SafeLoader):
    """Refuses a key that stands there twice, of which YAML would take the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{key} stands there twice")
        return super().construct_mapping(node, deep)


def _single(name: str, value: object) -> object:
    """A value, or numbers in a row; nothing that is nested."""
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str | int | float):
            raise UsageError(
                f"{flag(name)} is {'empty' if one is None else 'no single value'}: give one, or leave it out"
            )
    return value
