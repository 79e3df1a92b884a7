"""MLproject, docker/MLproject and the command line say the same: names, order, defaults and types of every option."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from kdflow.config import CohortConfig, CompareConfig, StudentConfig, StudyConfig, TeacherConfig, mlproject, options
from kdflow.config.mlproject import FILES, renewed
from kdflow.config.option import flag, option, show

ROOT = Path(__file__).parents[1]
ENTRY_POINTS = {
    "main": StudyConfig(),
    "teacher": TeacherConfig(),
    "student": StudentConfig(),
    "cohort": CohortConfig(),
    "compare": CompareConfig(),
}
TYPES = {int: "int", float: "float", str: "string", bool: "string", tuple: "string"}


@pytest.fixture(scope="module", params=["MLproject", "docker/MLproject"])
def project(request):
    return yaml.safe_load((ROOT / request.param).read_text())


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_as_the_options_make_it(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert renewed(text) == text, "stale: run `make mlproject`"


def test_a_new_option_is_one_field(monkeypatch):
    @dataclass(frozen=True)
    class Larger(StudentConfig):
        warmth: float = option(0.5, "How warm it is.", low=0, high=1)

    monkeypatch.setitem(mlproject._COMMANDS, "student", ("student", Larger()))
    text = renewed("head\n")
    assert "      warmth: {type: float, default: 0.5}\n" in text
    assert "--warmth {warmth}" in " ".join(text.split())


def test_the_entry_points_are_those_of_the_mission(project):
    assert list(project["entry_points"]) == list(ENTRY_POINTS)


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_parameters_and_defaults_are_the_options_of_the_config(project, name):
    declared = project["entry_points"][name]["parameters"]
    specs = options(ENTRY_POINTS[name])
    assert list(declared) == list(specs)
    for parameter, spec in specs.items():
        assert declared[parameter]["type"] == ("string" if spec.words else TYPES[type(spec.default)])
        assert spec.read(parameter, str(declared[parameter]["default"])) == spec.default


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_the_command_hands_every_parameter_on(project, name):
    command = "study" if name == "main" else name
    handed_on = " ".join(f"{flag(parameter)} {{{parameter}}}" for parameter in options(ENTRY_POINTS[name]))
    assert project["entry_points"][name]["command"].split() == f"python -m kdflow {command} {handed_on}".split()


@pytest.mark.parametrize("name", ENTRY_POINTS)
def test_every_option_of_the_command_line_is_in_the_config(name):
    from kdflow.cli.main import kdflow

    command = kdflow.commands["study" if name == "main" else name]
    specs = options(ENTRY_POINTS[name])
    assert [parameter.name for parameter in command.params] == list(specs)
    for parameter in command.params:
        assert parameter.opts == [flag(parameter.name)]
        assert (show(specs[parameter.name].default) or "empty") in parameter.help
