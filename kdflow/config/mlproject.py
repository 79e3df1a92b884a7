"""The entry points of `mlflow run`, from the options of each command: what MLproject says below its head."""

import json
import textwrap
from pathlib import Path

from kdflow.config.base import Checked, options
from kdflow.config.commands import CohortConfig, CompareConfig, StudentConfig, StudyConfig, TeacherConfig
from kdflow.config.option import Option, flag, show

FILES = ("MLproject", "docker/MLproject")
BEGIN = "entry_points:\n"
_COMMANDS: dict[str, tuple[str, Checked]] = {
    "main": ("study", StudyConfig()),
    "teacher": ("teacher", TeacherConfig()),
    "student": ("student", StudentConfig()),
    "cohort": ("cohort", CohortConfig()),
    "compare": ("compare", CompareConfig()),
}
_NUMBERS = {int: "int", float: "float"}


def write(project: Path = Path()) -> None:
    """Writes the entry points of both files anew, for `make mlproject`."""
    for name in FILES:
        path = project / name
        path.write_text(renewed(path.read_text(encoding="utf-8")), encoding="utf-8")


def renewed(text: str) -> str:
    """An MLproject with its own head, and the entry points as they are now."""
    head, _, _ = text.partition(BEGIN)
    return head + BEGIN + "\n".join(_entry_point(entry, *told) for entry, told in _COMMANDS.items())


def _entry_point(name: str, command: str, config: Checked) -> str:
    specs = options(config)
    handed_on = " ".join(f"{flag(option)} {{{option}}}" for option in specs)
    typed = textwrap.fill(f"python -m kdflow {command} {handed_on}", 108, break_on_hyphens=False)
    return "\n".join(
        (
            f"  {name}:",
            "    parameters:",
            *(f"      {_key(option)}: {_parameter(spec)}" for option, spec in specs.items()),
            "    command: >-",
            textwrap.indent(typed, " " * 6),
            "",
        )
    )


def _key(option: str) -> str:
    """A name as YAML takes it: there, `on` alone is a truth value."""
    return json.dumps(option) if option == "on" else option


def _parameter(spec: Option) -> str:
    kind = "string" if spec.words else _NUMBERS.get(type(spec.default), "string")
    default = show(spec.default) if kind != "string" else json.dumps(show(spec.default), ensure_ascii=False)
    return f"{{type: {kind}, default: {default}}}"
