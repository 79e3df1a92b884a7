"""Imports go one way, and heavy or special libraries stay in their rooms.

What is imported by a computed name is not covered, nor what only type checkers import.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "kdflow"

# A room imports only rooms above it.
ROOMS = [
    "common",
    "config",
    "data",
    "models",
    "distillers",
    "device",
    "teachers",
    "evaluation",
    "training",
    "journal",
    "tracking",
    "analysis",
    "reports",
    "launchers",
    "experiments",
    "__init__",
    "api",
    "cli",
    "__main__",
]
# Only these files import these libraries.
HOMES = {
    "mlflow": {"tracking"},
    "click": {"cli"},
    "yaml": {"config/settings_file.py"},
    "rich": {"common/console.py", "experiments/progress.py", "experiments/catalogue.py", "reports/terminal.py"},
    "matplotlib": {"reports"},
    "ray": {"launchers/ray.py"},
    "scipy": {"analysis"},
    "pandas": {"analysis", "experiments/results.py", "experiments/image_predictions.py"},
    "onnxruntime": {"models/onnx_program.py"},
}

FILES = sorted(PACKAGE.rglob("*.py"))
each_file = pytest.mark.parametrize("path", [pytest.param(path, id=str(path.relative_to(PACKAGE))) for path in FILES])


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes, those inside functions too, but not what only type checkers read."""
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from nodes(child)


def imports(path: Path) -> Iterator[str]:
    """Dotted names of the modules that a file imports."""
    for node in nodes(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            submodules = node.module == "kdflow" and {alias.name for alias in node.names if alias.name in ROOMS}
            yield from (f"kdflow.{name}" for name in submodules or ()) if submodules else (str(node.module),)


@each_file
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    here = ROOMS.index(room(path))
    for name in imports(path):
        if name.startswith("kdflow."):
            assert ROOMS.index(name.split(".")[1]) <= here, f"{path} imports {name}"


@each_file
def test_a_library_stays_in_its_room(path: Path) -> None:
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0])
        here = {room(path), path.relative_to(PACKAGE).as_posix()}
        assert homes is None or homes & here, f"only {', '.join(sorted(homes))} may import {name}"


def test_the_list_names_every_room_once() -> None:
    assert sorted(ROOMS) == sorted({room(path) for path in FILES})


@pytest.mark.parametrize("module", ["kdflow", "kdflow.api", "kdflow.cli.main"])
def test_help_need_not_wait_for_torch_or_mlflow(module: str) -> None:
    heavy = "{'torch', 'mlflow', 'matplotlib', 'sklearn', 'numpy', 'pandas'} & set(sys.modules)"
    code = f"import sys, {module}; sys.exit(', '.join({heavy}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
