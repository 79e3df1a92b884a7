"""Imports go one way, and heavy or special libraries stay in their rooms.

What is imported by a computed name is not covered, nor what only type checkers import.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "kdflow"

# A room imports only rooms of lower rank.
RANKS = {
    **dict.fromkeys(["errors", "glance", "process", "suggestions", "text"], 0),
    **dict.fromkeys(
        ["options", "project", "registry", "files", "cache", "graphed", "stopping", "console", "notebook"], 1
    ),
    **dict.fromkeys(["__init__", "drawing", "entries", "columns", "relocation"], 1),
    **dict.fromkeys(["config", "ending", "weights", "checkpoint", "run_folders", "results", "rows"], 2),
    **dict.fromkeys(["data", "runtime", "schedules", "deliveries", "lettering", "settings_file"], 3),
    **dict.fromkeys(["models", "journal"], 4),
    **dict.fromkeys(["distillers", "evaluate", "tracking", "stopped"], 5),
    **dict.fromkeys(["taught", "resume", "preflight", "params"], 6),
    "cohort": 7,
    "train": 8,
    **dict.fromkeys(["teacher", "figures", "progress", "terminal", "pages"], 9),
    **dict.fromkeys(["report", "registered"], 10),
    **dict.fromkeys(["page", "catalogue"], 11),
    **dict.fromkeys(["compare", "started", "usage"], 12),
    **dict.fromkeys(["tracked", "upkeep"], 13),
    "study": 14,
    **dict.fromkeys(["api", "cli"], 15),
    "__main__": 16,
}
# Only these rooms import these libraries.
HOMES = {
    "mlflow": {"tracking"},
    "click": {"cli", "usage"},
    "yaml": {"settings_file"},
    "rich": {"console", "progress", "terminal", "catalogue"},
    "matplotlib": {"drawing", "figures", "lettering"},
    "pandas": {"results", "rows"},
}
ENGINE = ["train", "cohort", "taught", "evaluate", "schedules", "runtime", "checkpoint", "weights", "files"]
ENGINE += ["distillers", "models", "data"]
SURFACE = ["tracking", "study", "compare", "report", "page", "terminal", "figures", "progress", "teacher", "cli"]

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
            submodules = node.module == "kdflow" and {alias.name for alias in node.names if alias.name in RANKS}
            yield from (f"kdflow.{name}" for name in submodules or ()) if submodules else (str(node.module),)


@each_file
def test_nothing_imports_back_up(path: Path) -> None:
    here = room(path)
    for name in imports(path):
        if name.startswith("kdflow."):
            there = name.split(".")[1]
            assert there == here or RANKS[there] < RANKS[here], f"{here} imports {there}"


@each_file
def test_a_library_stays_in_its_room(path: Path) -> None:
    for name in imports(path):
        homes = HOMES.get(name.split(".")[0], {room(path)})
        assert room(path) in homes, f"only {', '.join(homes)} may import {name}"


def test_training_ranks_below_everything_that_shows_or_tracks_it() -> None:
    for low in ENGINE:
        for high in SURFACE:
            assert not any(
                name.split(".")[:2] == ["kdflow", high] for path in FILES if room(path) == low for name in imports(path)
            )


def test_the_table_names_every_room_once() -> None:
    assert {room(path) for path in FILES} == set(RANKS)


@pytest.mark.parametrize("module", ["kdflow", "kdflow.api", "kdflow.cli"])
def test_help_need_not_wait_for_torch_or_mlflow(module: str) -> None:
    heavy = "{'torch', 'mlflow', 'matplotlib', 'sklearn', 'numpy', 'pandas'} & set(sys.modules)"
    code = f"import sys, {module}; sys.exit(', '.join({heavy}) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert done.returncode == 0, done.stderr
