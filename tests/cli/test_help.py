"""What the command line says of its options: help in groups, kinds of values, suggestions, completion."""

import os
import subprocess
import sys

import click
import pytest

from kdflow.cli.main import kdflow
from kdflow.config import StudentConfig, StudyConfig, options
from kdflow.experiments import catalogue

GROUPS = {
    "study": ["Method", "Teacher", "Student", "Data", "Computing", "Answer", "Placing", "Keeping", "Other"],
    "teacher": ["Teacher", "Data", "Computing", "Keeping", "Other"],
    "student": ["Method", "Teacher", "Student", "Data", "Computing", "Keeping", "Other"],
    "cohort": ["Method", "Teacher", "Student", "Placing", "Data", "Computing", "Keeping", "Other"],
    "compare": ["Teacher", "Data", "Answer", "Keeping", "Other"],
    "report": ["Teacher", "Data", "Answer", "Keeping", "Report", "Other"],
    "predict": ["Keeping", "Output", "Other"],
    "export": ["Keeping", "Output", "Other"],
    "sync": ["Keeping", "Other"],
    "doctor": ["Keeping", "Other"],
}


def shown(command):
    found = kdflow.commands[command]
    with click.Context(found, info_name=f"kdflow {command}", max_content_width=120) as context:
        return found.get_help(context)


@pytest.mark.parametrize("command", GROUPS)
def test_help_has_every_option_under_its_group(command):
    lines = shown(command).splitlines()
    assert [line.rstrip(":") for line in lines if line.endswith(":") and not line.startswith(" ")] == GROUPS[command]
    assert "VALUE" not in [word for line in lines for word in line.split()]
    for param in (one for one in kdflow.commands[command].params if isinstance(one, click.Option)):
        assert any(line.startswith(f"  {param.opts[0]} ") for line in lines)


def test_every_option_of_a_config_has_a_group_and_the_students_own_are_with_the_student():
    assert all(spec.group for config in (StudyConfig(), StudentConfig()) for spec in options(config).values())
    groups = {name: spec.group for name, spec in options(StudyConfig()).items()}
    assert (groups["teacher_epochs"], groups["student_epochs"], groups["alphas"]) == ("teacher", "student", "method")
    assert options(StudentConfig())["epochs"].group == "student"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("epochs", "INTEGER"),
        ("lr", "NUMBER"),
        ("flip", "[true|false]"),
        ("device", "[auto|cpu|cuda]"),
        ("runs_dir", "PATH"),
        ("dataset", "NAME|PATH"),
    ],
)
def test_the_kind_of_a_value_is_shown(name, kind):
    assert f"--{name.replace('_', '-')} {kind} " in shown("student")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("study --alpha 0", "No such option --alpha: did you mean --alphas?"),
        ("study --temperature 1", "did you mean --temperatures?"),
        ("student --alphas 0", "did you mean --alpha?"),
        ("study --epochs 3", "did you mean --teacher-epochs or --student-epochs?"),
        ("study --model x", "did you mean --teacher-model or --student-model?"),
        ("teacher --teacher-epochs 3", "did you mean --epochs?"),
        ("student --student-lr 1", "did you mean --lr?"),
        ("student --teacher-lr 1", "it is one of kdflow study"),
        ("teacher --alpha 1", "it is one of kdflow student"),
        ("student --confg x", "did you mean --config?"),
        ("compare --epochs 3", "it is one of kdflow teacher and kdflow student"),
        ("student --xyzzy 3", "`kdflow student --help` lists them"),
    ],
)
def test_an_option_of_another_spelling_is_suggested(kdflow, arguments, words):
    code, error = kdflow(*arguments.split()).line
    assert (code, error.count("\n")) == (2, 1)
    assert words in error


def completed(*words):
    """What a shell offers for the last word."""
    environment = {
        "_KDFLOW_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    code = "import sys; from kdflow.cli.main import main\ntry: main()\n"
    code += "finally: print({'torch', 'mlflow', 'numpy'} & set(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'kdflow'\n{code}"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == "set()\n"
    return {tuple(line.split(",")) for line in done.stdout.splitlines()}


def test_a_shell_completes_commands_options_and_values_without_torch():
    assert ("plain", "student") in completed("kdflow", "stud")
    assert {("plain", "--alpha"), ("plain", "--alphas")} & completed("kdflow", "study", "--al") == {
        ("plain", "--alphas")
    }
    assert completed("kdflow", "student", "--device", "c") == {("plain", "cpu"), ("plain", "cuda")}
    assert ("dir", "im") in completed("kdflow", "student", "--dataset", "im")
    names = completed("kdflow", "study", "--teacher-model", "alex")
    assert {name for _, name in names} == {name for name in catalogue.made()["model"] if name.startswith("alex")}
