"""The command line from outside: one line and the documented exit code for every bad input, before any work.

Not covered here: `mlflow run` (tests/runs/test_mlflow_run.py).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdflow import cli, started, study
from kdflow.config import StudentConfig
from kdflow.errors import DataError, KdflowError, TeacherError, TrackingError


def run(monkeypatch, capsys, *arguments):
    """Exit code and error line of a command."""
    monkeypatch.setattr(sys, "argv", ["kdflow", *arguments])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code, capsys.readouterr().err


@pytest.fixture(autouse=True)
def no_work(monkeypatch):
    """A command that gets as far as reading data has gone too far."""
    monkeypatch.setattr(started, "load", lambda config: pytest.fail("work began"))


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
def test_a_bad_value_is_one_line_with_option_value_and_range(monkeypatch, capsys, arguments):
    code, error = run(monkeypatch, capsys, *arguments)
    assert code == 2
    assert error.count("\n") == 1
    assert f"{arguments[1]} is {arguments[2]!r}: give " in error
    assert "(default " in error


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
def test_an_unknown_option_or_command_is_one_line(monkeypatch, capsys, arguments, words):
    code, error = run(monkeypatch, capsys, *arguments)
    assert (code, error.count("\n")) == (2, 1)
    assert words in error


@pytest.mark.parametrize("kind", [KdflowError, DataError, TeacherError, TrackingError])
def test_each_kind_of_failure_has_its_exit_code(monkeypatch, capsys, kind):
    def fail(config):
        raise kind("what went wrong\nand a second line")

    monkeypatch.setattr(study, "run_compare", fail)
    code, error = run(monkeypatch, capsys, "compare")
    assert code == kind.exit_code
    assert error == "kdflow: error: what went wrong and a second line\n"


def test_ctrl_c_is_exit_130(monkeypatch, capsys):
    def interrupt(config):
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "run_compare", interrupt)
    assert run(monkeypatch, capsys, "compare")[0] == 130


def test_a_spelling_of_a_number_makes_no_difference(monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(study, "run_student", seen.append)
    for alpha, lr in (("0", "0.001"), ("0.0", "1e-3"), ("0.00", ".001")):
        assert run(monkeypatch, capsys, "student", "--alpha", alpha, "--lr", lr)[0] == 0
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
def test_an_option_that_is_true_or_false_alone_means_true(monkeypatch, capsys, arguments, meant):
    seen = []
    monkeypatch.setattr(study, "run_student", seen.append)
    assert run(monkeypatch, capsys, "student", *arguments) == (0, "")
    (config,) = seen
    assert config.runtime.deterministic is meant
    assert config.alpha == (0.25 if "--alpha" in arguments else StudentConfig().alpha)


@pytest.mark.parametrize("command", ["study", "teacher", "student"])
@pytest.mark.parametrize("flag", ["--deterministic", "--flip", "--resize", "--augment-val"])
def test_every_command_takes_its_flags_alone(monkeypatch, capsys, command, flag):
    seen = []
    monkeypatch.setattr(study, f"run_{command}", seen.append)
    for value in ((), ("true",), ("false",)):
        assert run(monkeypatch, capsys, command, flag, *value)[0] == 0
    assert seen[0] == seen[1] != seen[2]


def test_list_shows_every_name_and_knob(monkeypatch, capsys):
    from kdflow.data import sources
    from kdflow.distillers import distillers
    from kdflow.models import models

    monkeypatch.setattr(sys, "argv", ["kdflow", "list"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit):
        cli.main()
    shown = capsys.readouterr().out
    for name in [*sources, *models, *distillers, "torchvision:NAME", "temperature", "105,386"]:
        assert name in shown


def test_help_answers_without_loading_torch_or_mlflow():
    code = "import sys; sys.argv = ['kdflow', '--help']\n"
    code += "from kdflow import cli\ntry: cli.main()\nexcept SystemExit: pass\n"
    code += "print(sorted({'torch', 'mlflow', 'matplotlib', 'sklearn'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_killed_with_the_documented_code(tmp_path, signum, code):
    from mlflow import MlflowClient

    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    command = [
        sys.executable,
        "-m",
        "kdflow",
        "teacher",
        "--dataset",
        "digits",
        "--model",
        "small-cnn",
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    environment = os.environ | {"MLFLOW_TRACKING_URI": store, "PYTHONPATH": str(Path(__file__).parent.parent)}
    command += ["--epochs", "10000"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        next(line for line in process.stdout if line.startswith("epoch"))
        process.send_signal(signum)
        assert process.wait(timeout=60) == code
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("kdflow")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "KILLED"
