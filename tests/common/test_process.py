"""What is settled before torch is imported. That memory is kept indeed, and what it gains, is a benchmark's."""

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from kdflow.common import process

DEFAULTS = {
    "GOMP_SPINCOUNT": "1000",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


SETTLED = ("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT")


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What the C library was told instead of this process's own; the environment is as before afterwards."""
    options: list[tuple[int, int]] = []
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *option: options.append(option)))
    for name in DEFAULTS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return options


def test_what_the_environment_does_not_say_is_set() -> None:
    before = {**os.environ}
    process.prepare()
    assert {name: os.environ[name] for name in DEFAULTS} == DEFAULTS
    assert {name: value for name, value in os.environ.items() if name not in DEFAULTS} == before


@pytest.mark.parametrize("name", SETTLED)
def test_what_keeps_secrets_and_runs_no_pickle_is_settled_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "something else")
    process.prepare()
    assert os.environ[name] == DEFAULTS[name]


@pytest.mark.parametrize("name", sorted({*DEFAULTS} - {*SETTLED}))
def test_what_the_environment_says_is_left_alone(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "7")
    process.prepare()
    assert {key: os.environ[key] for key in DEFAULTS} == DEFAULTS | {name: "7"}


def test_freed_memory_below_a_gigabyte_is_kept(told: list[tuple[int, int]]) -> None:
    process.prepare()
    assert set(told) == {(-3, 2**30), (-1, 2**30)}, "M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h"


def test_a_system_without_mallopt_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace())
    process.prepare()
    assert os.environ["GOMP_SPINCOUNT"] == "1000"


@pytest.mark.parametrize("call", ["from kdflow.common import process; process.prepare()", "import kdflow.cli.main"])
def test_it_is_settled_before_torch_and_mlflow_are_imported(call: str) -> None:
    code = f"{call}\nimport sys; print(sorted({{'torch', 'mlflow', 'numpy'}} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout == "[]\n"


def test_the_command_line_settles_it_before_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from kdflow.cli import main

    order: list[str] = []
    monkeypatch.setattr(process, "prepare", lambda: order.append("prepared"))
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr(main.kdflow, "main", lambda **_: order.append("ran"))
    with pytest.raises(SystemExit):
        main.main()
    assert order == ["prepared", "ran"]
