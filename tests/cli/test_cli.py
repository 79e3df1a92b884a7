"""The command line from outside: one line and the documented exit code for every bad input, before any work.

Not covered here: `mlflow run` (tests/experiments/test_mlflow_run.py), and real signals (tests/faults/test_kills.py).
"""

import signal
import subprocess
import sys

import pytest

from kdflow.common import signals
from kdflow.common.errors import DataError, KdflowError, TeacherError, TrackingError
from kdflow.config import CompareConfig, StudentConfig, StudyConfig, TeacherConfig, options
from kdflow.config.option import flag, show
from kdflow.experiments import commands, session, study

COMMANDS = {"study": StudyConfig(), "teacher": TeacherConfig(), "student": StudentConfig(), "compare": CompareConfig()}
NUMBERS = [
    (command, name)
    for command, config in COMMANDS.items()
    for name, spec in options(config).items()
    if isinstance(spec.default, int | float | tuple) and not isinstance(spec.default, bool) and spec.each is not str
]


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """A command that gets as far as reading data has gone too far."""
    monkeypatch.setattr(session, "load", lambda config: pytest.fail("work began"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("student", "--alpha", "1.5"),
        ("student", "--alpha", "nan"),
        ("student", "--alpha", "inf"),
        ("student", "--alpha", "-0.1"),
        ("student", "--alpha", ""),
        ("student", "--alpha", "$(touch x)"),
        ("student", "--temperature", "0"),
        ("student", "--temperature", "1e6"),
        ("student", "--epochs", "0"),
        ("student", "--epochs", "2.5"),
        ("student", "--batch-size", "abc"),
        ("student", "--lr", "-1"),
        ("student", "--momentum", "1"),
        ("student", "--schedule", "linear"),
        ("student", "--augment-val", "perhaps"),
        ("teacher", "--val-fraction", "0"),
        ("teacher", "--seed", "-1"),
        ("study", "--alphas", "0,2"),
        ("study", "--temperatures", ""),
        ("study", "--device", "tpu"),
    ],
)
def test_a_bad_value_is_one_line_with_option_value_and_range(kdflow, arguments):
    code, error = kdflow(*arguments).line
    assert code == 2
    assert error.count("\n") == 1
    assert f"{arguments[1]} is {arguments[2]!r}: give " in error
    assert "(default " in error


@pytest.mark.fault
@pytest.mark.parametrize(("command", "name"), NUMBERS)
def test_every_number_is_checked_before_anything_is_made(monkeypatch, kdflow, tmp_path, record_property, command, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    spec = options(COMMANDS[command])[name]
    wrong = ["nan", "inf", "-inf", "-1", "abc", "1e400", "1,5;", "\u0661x", *[""] * (spec.default != ())]
    wrong += ["0"] if (spec.low or 0) > 0 or spec.above is not None else []
    for raw in wrong:
        expected = f"kdflow: error: {flag(name)} is {raw!r}: give {spec.allowed} (default {show(spec.default)})\n"
        assert kdflow(command, flag(name), raw).line == (2, expected)
    assert list(tmp_path.iterdir()) == []
    record_property("faults", len(wrong))


@pytest.mark.fault
@pytest.mark.parametrize("command", ["study", "teacher", "student"])
def test_an_unknown_run_to_go_on_with_makes_nothing(monkeypatch, kdflow, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    for reference in ("0" * 32, "../x", "a\nb", "\x1b[31m"):
        code, error = kdflow(command, "--resume", reference).line
        assert (code, error.count("\n"), error.count("\x1b")) == (1, 1, 0)
        assert "runs keeps nothing of such a run" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault
def test_a_runs_dir_that_takes_no_files_is_found_before_data_are_read(monkeypatch, kdflow, tmp_path):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    (tmp_path / "file").write_text("")
    for command in ("study", "teacher", "student"):
        for place in (tmp_path / "file", tmp_path / "file" / "runs"):
            code, error = kdflow(command, "--runs-dir", str(place)).line
            assert (code, error.count("\n")) == (1, 1)
            assert error.startswith(f"kdflow: error: --runs-dir {place} cannot be written to: ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("student", "--foo", "1"), "No such option"),
        (("student", "--alhpa", "1"), "--alpha"),
        (("studnet",), "No such command"),
        (("student", "extra"), "unexpected extra argument"),
        (("student", "--alpha"), "requires an argument"),
    ],
)
def test_an_unknown_option_or_command_is_one_line(kdflow, arguments, words):
    code, error = kdflow(*arguments).line
    assert (code, error.count("\n")) == (2, 1)
    assert words in error


@pytest.mark.parametrize("kind", [KdflowError, DataError, TeacherError, TrackingError])
def test_each_kind_of_failure_has_its_exit_code(monkeypatch, kdflow, kind):
    def fail(config):
        raise kind("what went wrong\nand a second line")

    monkeypatch.setattr(commands, "run_compare", fail)
    code, error = kdflow("compare").line
    assert code == kind.exit_code
    assert error == "kdflow: error: what went wrong and a second line\n"


def test_ctrl_c_is_exit_130(monkeypatch, kdflow):
    def interrupt(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "run_compare", interrupt)
    assert kdflow("compare")[0] == 130


@pytest.mark.fault
@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_with_what_to_do_next_and_the_documented_code(monkeypatch, kdflow, signum, code):
    def stop(config):
        stopped = signals.Stopped(signum)
        stopped.add_note("go on with: kdflow compare")
        raise stopped

    monkeypatch.setattr(commands, "run_compare", stop)
    expected = f"kdflow: error: stopped by {signum.name}; go on with: kdflow compare\n"
    assert kdflow("compare").line == (code, expected)


def test_a_spelling_of_a_number_makes_no_difference(monkeypatch, kdflow):
    seen = []
    monkeypatch.setattr(commands, "run_student", seen.append)
    for alpha, lr in (("0", "0.001"), ("0.0", "1e-3"), ("0.00", ".001")):
        assert kdflow("student", "--alpha", alpha, "--lr", lr)[0] == 0
    assert len(set(seen)) == 1


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ((), False),
        (("--deterministic",), True),
        (("--deterministic", "true"), True),
        (("--deterministic=true",), True),
        (("--deterministic", "false"), False),
        (("--deterministic=false",), False),
        (("--deterministic", "--alpha", "0.25"), True),
        (("--alpha", "0.25", "--deterministic"), True),
        (("--deterministic", "no", "--alpha", "0.25"), False),
    ],
)
def test_an_option_that_is_true_or_false_alone_means_true(monkeypatch, kdflow, arguments, meant):
    seen = []
    monkeypatch.setattr(commands, "run_student", seen.append)
    assert kdflow("student", *arguments).line == (0, "")
    (config,) = seen
    assert config.runtime.deterministic is meant
    assert config.alpha == (0.25 if "--alpha" in arguments else StudentConfig().alpha)


@pytest.mark.parametrize("command", ["study", "teacher", "student", "cohort"])
@pytest.mark.parametrize("flag", ["--deterministic", "--flip", "--resize", "--augment-val"])
def test_every_command_takes_its_flags_alone(monkeypatch, kdflow, command, flag):
    seen = []
    monkeypatch.setattr(study if command == "study" else commands, f"run_{command}", seen.append)
    for value in ((), ("true",), ("false",)):
        assert kdflow(command, flag, *value)[0] == 0
    assert seen[0] == seen[1] != seen[2]


def test_list_shows_every_name_and_knob(kdflow):
    from kdflow.data import sources
    from kdflow.distillers import distillers
    from kdflow.models import models

    shown = kdflow("list").out
    for name in [*sources, *models, *distillers, "torchvision:NAME", "temperature", "105,386"]:
        assert name in shown


def test_help_answers_without_loading_torch_or_mlflow():
    code = "import sys; sys.argv = ['kdflow', '--help']\n"
    code += "from kdflow.cli.main import main\ntry: main()\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'mlflow', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"
