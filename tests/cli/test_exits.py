"""Whatever goes wrong, in whatever command: one line with its type, a documented exit code, and more with `--debug`.

Failures that are foreseen are test_cli's.
"""

import ast
import io
import os
import pwd
import re
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

from kdflow.cli import exits, main
from kdflow.common import console, process
from kdflow.common.errors import UnforeseenError
from kdflow.experiments import catalogue, commands, doctor, export, predict, report, study, sync

PACKAGE = Path(__file__).parents[2] / "kdflow"
WORK = {
    "study": (study, "run_study"),
    "teacher": (commands, "run_teacher"),
    "student": (commands, "run_student"),
    "cohort": (commands, "run_cohort"),
    "compare": (commands, "run_compare"),
    "report": (report, "run_report"),
    "predict": (predict, "run_predict"),
    "export": (export, "run_export"),
    "sync": (sync, "run_sync"),
    "doctor": (doctor, "run_doctor"),
    "list": (catalogue, "print_catalogue"),
}

ARGUMENTS = {"predict": ("a-run", "an-image.png"), "export": ("a-run",)}


class PanicException(BaseException):
    """As extensions written in Rust raise it: no `Exception`."""


UNFORESEEN = [
    ValueError("what\nnobody\x1b[31m thought of"),
    MemoryError(),
    RecursionError("maximum recursion depth exceeded"),
    UnicodeEncodeError("ascii", "\u00fc", 0, 1, "ordinal not in range(128)"),
    BrokenPipeError(32, "Broken pipe"),
    EOFError("Ran out of input"),
    KeyError("x"),
    AssertionError(),
    ImportError("libcuda.so.1: cannot open shared object file"),
    PanicException("a panic"),
    ExceptionGroup("several", [ValueError("a"), KeyError("b")]),
]


@pytest.fixture(autouse=True)
def in_process(monkeypatch):
    """What the command line settles for a process is settled for a test alone."""
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(process, "prepare", lambda: None)
    with warnings.catch_warnings():
        yield
    console.hush(on=False)


def broken(monkeypatch, command, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(*WORK[command], fail)


def test_these_are_all_the_commands():
    assert set(WORK) == set(main.kdflow.commands)


@pytest.mark.fault
@pytest.mark.parametrize("error", UNFORESEEN, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("command", WORK)
def test_what_nobody_foresaw_is_one_line_with_its_type_in_every_command(monkeypatch, kdflow, command, error):
    broken(monkeypatch, command, error)
    code, out, err = kdflow(command, *ARGUMENTS.get(command, ()))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"kdflow: error: {type(error).__name__}")
    assert "--debug shows where it comes from" in err
    assert "\x1b" not in err


@pytest.mark.parametrize("command", WORK)
@pytest.mark.parametrize("before", [True, False])
def test_debug_before_or_after_the_command_shows_where_it_comes_from(monkeypatch, kdflow, command, before):
    broken(monkeypatch, command, ValueError("what nobody thought of"))
    code, _, err = kdflow(*(["--debug", command] if before else [command, "--debug"]), *ARGUMENTS.get(command, ()))
    *trace, line = err.splitlines()
    assert code == 1
    assert any("in fail" in one for one in trace)
    assert line == "kdflow: error: ValueError: what nobody thought of"


def test_how_to_go_on_is_said_of_what_was_not_foreseen_too(monkeypatch, kdflow):
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory")
    error.add_note("go on with: kdflow study --resume 1")
    broken(monkeypatch, "study", error)
    assert kdflow("study")[2].endswith("; go on with: kdflow study --resume 1\n")


def test_no_secret_and_no_page_of_text_is_told(monkeypatch, kdflow):
    broken(monkeypatch, "doctor", OSError("https://me:secret@host/x?token=secret " + "x" * 100_000))
    for arguments in (["doctor"], ["doctor", "--debug"]):
        *_, line = kdflow(*arguments)[2].splitlines()
        assert "secret" not in line
        assert len(line) < exits.LONGEST + 200
    trace = kdflow("doctor", "--debug")[2]
    assert "secret" not in trace


def test_what_goes_wrong_before_any_command_is_one_line_too(monkeypatch, kdflow):
    def fail():
        raise OSError("no C library")

    monkeypatch.setattr(process, "prepare", fail)
    code, _, err = kdflow("list")
    assert (code, err.count("\n")) == (1, 1)
    assert "OSError: no C library" in err


def test_a_warning_is_one_line_without_code(monkeypatch, kdflow):
    def work():
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            warnings.warn("the cache\ncannot keep anything", stacklevel=1)

    monkeypatch.setattr(catalogue, "print_catalogue", work)
    assert kdflow("list") == (0, "", "kdflow: warning: the cache cannot keep anything\n")


def started(*arguments, **settings):
    command = [sys.executable, "-m", "kdflow", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=PACKAGE.parent, **settings)


@pytest.mark.fault
@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["student", "--help"]])
def test_a_reader_that_goes_away_ends_nothing_with_noise(arguments):
    read, write = os.pipe()
    command = started(*arguments, stdout=write)
    os.close(write)
    os.close(read)
    assert command.communicate(timeout=60)[1] == ""
    assert command.returncode in (0, 1)


def test_a_reader_that_goes_away_costs_no_work(monkeypatch, kdflow):
    """As in `kdflow study | head -1`."""

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    done = []

    def work(config):
        console.say("one line")
        done.append("the rest")

    left = []
    monkeypatch.setattr(console, "leave_stdout", lambda: left.append(True))
    monkeypatch.setattr(console, "console", type(console.console)())  # which keeps what nobody reads
    monkeypatch.setattr(commands, "run_compare", work)
    monkeypatch.setattr(sys, "stdout", Gone())
    assert kdflow("compare")[0] == 0
    assert (done, left) == (["the rest"], [True])


@pytest.mark.fault
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a system without /dev/full")
def test_a_full_disk_behind_stdout_is_one_line():
    with open("/dev/full", "wb") as full:
        command = started("list", stdout=full)
        error = command.communicate(timeout=60)[1]
    assert (command.returncode, error.count("\n")) == (1, 1)
    assert "No space left on device" in error


@pytest.mark.fault
def test_closed_streams_are_no_failure(tmp_path):
    script = f"{sys.executable} -m kdflow list >&- && {sys.executable} -m kdflow list 2>&- && "
    script += f"{sys.executable} -m kdflow studnet >&- 2>&-; echo $?"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=PACKAGE.parent, timeout=60)
    assert done.stdout.splitlines()[-1] == "2"
    assert done.stderr == ""


@pytest.mark.fault
@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"},
    ],
)
def test_no_encoding_of_the_terminal_is_too_small(environment, tmp_path):
    (tmp_path / "bild\u00fcr").mkdir()
    for arguments in (["list"], ["sync", "--runs-dir", "bild\u00fcr"], ["sync", "--runs-dir", "\u00fc"]):
        done = subprocess.run(
            [sys.executable, "-m", "kdflow", *arguments],
            capture_output=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(PACKAGE.parent), **environment},
            timeout=60,
        )
        assert done.stderr.count(b"\n") == done.returncode == (arguments[-1] == "\u00fc")
        assert b"not foreseen" not in done.stderr


@pytest.mark.fault
@pytest.mark.parametrize("command", ["study", "teacher", "student", "compare", "predict", "export", "sync", "doctor"])
def test_a_working_directory_that_was_deleted_is_one_line(kdflow, command):
    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        os.rmdir(folder)
        try:
            code, _, err = kdflow(command, *ARGUMENTS.get(command, ()))
        finally:
            os.chdir(before)
            os.mkdir(folder)
    assert code == 2
    assert re.fullmatch(r"kdflow: error: the working directory is gone \(.*\): change to another one\n", err)


def test_a_signal_of_which_an_import_makes_another_error_is_told_as_the_signal(monkeypatch, kdflow):
    from kdflow.common import signals

    def work(config):
        signals._noted = signal.SIGTERM
        raise ImportError("numpy.core failed to import")

    monkeypatch.setattr(signals, "_noted", None)
    monkeypatch.setattr(commands, "run_compare", work)
    code, _, err = kdflow("compare")
    assert (code, err) == (143, "kdflow: error: stopped by SIGTERM\n")


@pytest.mark.fault
def test_a_user_without_name_and_home_is_given_both(monkeypatch):
    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.undo()
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME", "HOME"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    process._name_user()
    assert os.environ["LOGNAME"] == f"user-{os.getuid()}"
    assert not Path.home().is_dir()


def test_what_was_not_foreseen_keeps_its_notes():
    error = ValueError("x")
    error.add_note("go on")
    assert UnforeseenError(error).__notes__ == ["go on"]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_text_file_is_read_and_written_in_a_named_encoding(path):
    """The system's own would be another one elsewhere."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        owner = ast.unparse(node.func).rpartition(".")[0]
        if called not in ("open", "fdopen", "read_text", "write_text") or (
            owner in ("os", "Image", "tarfile") and called == "open"
        ):
            continue
        modes = [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        binary = any("b" in mode and set(mode) <= set("rwaxb+") for mode in modes)
        assert binary or any(word.arg == "encoding" for word in node.keywords), f"line {node.lineno}"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_warnings_are_said_by_warn_which_quiet_keeps(path):
    source = path.read_text(encoding="utf-8")
    assert path.name == "console.py" or 'say(f"Warning' not in source.replace("\n", "").replace(" ", "")
    assert path.name == "console.py" or 'say("Warning' not in source.replace("\n", "").replace(" ", "")
