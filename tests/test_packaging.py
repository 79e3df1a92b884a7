"""The ways to install kdflow agree: pyproject.toml, the lock files, conda.yaml, Makefile and .ci/run.

Not covered: an installation by conda, which is not at hand.
"""

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
DISTRIBUTIONS = {"PIL": "pillow", "yaml": "pyyaml", "sklearn": "scikit-learn"}
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DIRECT = {
    canonicalize_name(requirement.name): requirement
    for requirement in map(Requirement, PYPROJECT["project"]["dependencies"])
}


def lock_entries(name: str) -> list[str]:
    """One text per locked package: the pin, then its hashes."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", "").splitlines()


def pins(entries: list[str]) -> dict[str, str]:
    found = {}
    for entry in entries:
        requirement = Requirement(entry.split(" --hash")[0])
        [pin] = requirement.specifier
        assert pin.operator == "==", f"{requirement.name} is not pinned"
        assert requirement.name not in found, f"{requirement.name} is locked twice"
        found[requirement.name] = pin.version
    return found


LOCKED = pins(lock_entries("requirements.lock"))
LOCKED_DEV = pins(lock_entries("requirements-dev.lock"))
LOCKED_SERVER = pins(lock_entries("requirements-server.lock"))


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-server.lock"])
def test_every_locked_package_has_hashes_and_no_place_to_fetch_it_from(lock: str) -> None:
    for entry in lock_entries(lock):
        assert re.search(r" --hash=sha256:[0-9a-f]{64}( |$)", entry), f"no hash: {entry}"
    text = (ROOT / lock).read_text()
    assert not re.search(r"://|index-url|find-links|trusted-host", text)
    assert "make lock" in text.splitlines()[1]


def test_the_lock_satisfies_pyproject() -> None:
    for name, requirement in DIRECT.items():
        assert requirement.specifier.contains(LOCKED[name]), f"`make lock`: {requirement} is locked at {LOCKED[name]}"


def test_the_project_builds_with_locked_packages_alone() -> None:
    for requirement in map(Requirement, PYPROJECT["build-system"]["requires"]):
        assert requirement.specifier.contains(LOCKED[requirement.name])


@pytest.mark.parametrize(("extra", "locked"), [("dev", LOCKED_DEV), ("server", LOCKED_SERVER)])
def test_the_lock_of_an_extra_is_the_lock_and_its_packages(extra: str, locked: dict[str, str]) -> None:
    assert {name: locked.get(name) for name in LOCKED} == LOCKED, "run `make lock`"
    for requirement in map(Requirement, PYPROJECT["project"]["optional-dependencies"][extra]):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)])


def test_conda_yaml_pins_the_direct_packages_as_the_lock_does() -> None:
    environment = yaml.safe_load((ROOT / "conda.yaml").read_text())
    *conda, pip = environment["dependencies"]
    assert pins(pip["pip"]) == {name: LOCKED[name] for name in DIRECT}, "run `make lock`"
    assert (environment["name"], environment["channels"], conda) == ("kdflow", ["conda-forge"], ["python=3.11", "pip"])
    assert "3.11" in PYPROJECT["project"]["requires-python"]


EXTRAS = {"onnxruntime", "ray"}  # imported where it is asked for, and said to be missing where it is


def test_pyproject_names_exactly_the_packages_that_kdflow_imports() -> None:
    imported = set()
    for path in (ROOT / "kdflow").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    third_party = imported - sys.stdlib_module_names - {"kdflow"} - EXTRAS
    assert {DISTRIBUTIONS.get(name, name) for name in third_party} == set(DIRECT)


# Without what `make test` hands down to a make that it starts.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def make(*arguments: str) -> str:
    """What make prints."""
    command = ["make", *arguments]
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout


def test_make_lists_its_targets_when_none_is_named() -> None:
    listed = re.findall(r"^make ([a-z-]+)", make(), flags=re.MULTILINE)
    checks = [
        "test",
        "test-all",
        "test-containers",
        "lint",
        "lock",
        "catalogue",
        "mlproject",
        "methods",
        "audit",
        "clean",
    ]
    assert listed == ["help", "study", "ui", "server", "bench", "bench-gpu", *checks]


def test_make_study_runs_the_study_on_the_data_set_it_is_given() -> None:
    assert '.venv/bin/kdflow study --dataset "digits"' in make("study", "--dry-run")
    chosen = make("study", "--dry-run", "DATASET=my images", "ARGS=--teacher-epochs 2")
    assert '.venv/bin/kdflow study --dataset "my images" --teacher-epochs 2' in chosen


def test_make_test_runs_every_check() -> None:
    plan = make("test", "--dry-run")
    for check in ("ruff check", "ruff format --check", "mypy", "-m pytest"):
        assert f".venv/bin/{check}" in plan or f".venv/bin/python {check}" in plan


def test_make_ui_listens_on_this_machine_only_and_checks_the_host_header() -> None:
    plan = make("ui", "--dry-run", "PORT=5055")
    assert "--host 127.0.0.1 --port 5055" in plan
    assert '--allowed-hosts "localhost:5055,127.0.0.1:5055"' in plan


def test_make_ui_names_the_server_without_its_password() -> None:
    command = ["make", "--old-file", ".venv/.installed", "ui", f"BIN={Path(sys.executable).parent}"]
    environment = ENVIRONMENT | {"MLFLOW_TRACKING_URI": "http://user:s3cret@127.0.0.1:9"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    shown = "http://127.0.0.1:9/#/experiments?workflowType=machine_learning"
    assert done.stdout + done.stderr == f"The runs are on a server:\nExperiments: {shown}\n"


@pytest.mark.parametrize(
    ("said", "code", "shown"),
    [
        ("No known vulnerabilities found", 0, "No known vulnerabilities found"),
        ("Found 1 known vulnerability in 1 package\ntorch 1.0", 1, "torch 1.0"),
        (
            "Traceback\nConnectionError: refused",
            1,
            "make audit: the advisories cannot be had: ConnectionError: refused",
        ),
        ("ERROR:pip_audit._cli:click: not found", 1, "make audit: the advisories cannot be had: click: not found"),
    ],
)
def test_make_audit_fails_if_anything_is_known_and_if_nothing_can_be_known(
    said: str, code: int, shown: str, tmp_path: Path
) -> None:
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    tool = tmp_path / ".venv" / "audit" / "bin" / "pip-audit"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\necho \"$@\" > asked\nprintf '%s\\n' '{said}' >&2\nexit {code}\n")
    tool.chmod(0o755)
    command = ["make", "--old-file", ".venv/audit/.installed", "audit", "ARGS=--ignore-vuln X"]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(code)
    lines = (done.stdout + done.stderr).splitlines()
    assert shown in lines
    asked = (tmp_path / "asked").read_text().split()
    assert asked[-4:] == ["--ignore-vuln", "X", "-r", "requirements-dev.lock"]
    assert {"--strict", "--disable-pip"} <= set(asked)


def test_no_other_target_asks_for_advisories() -> None:
    for target in ("study", "test", "test-all", "lint"):
        assert "pip-audit" not in make(target, "--dry-run")


def test_make_clean_keeps_runs_and_data() -> None:
    plan = make("clean", "--dry-run")
    assert not re.search(r"mlflow\.db|mlruns|mlartifacts|\bdata\b|git clean", plan)


def test_make_says_in_one_line_that_python_is_missing(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        (tmp_path / name).symlink_to(ROOT / name)
    command = ["make", "study", "PYTHON=python-that-is-not-there"]
    result = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert result.stderr.splitlines()[0].startswith(
        "No Python 3.11 or newer with venv among: python-that-is-not-there."
    )


def test_ci_runs_the_test_command_of_the_readme() -> None:
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    *_, command = ci.read_text().splitlines()
    assert command == "make test"
    assert re.search(r"^ *make test\b", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
