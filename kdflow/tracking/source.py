"""Which version of the code a run was made with: the commit, and whether anything was changed since."""

import subprocess
from functools import cache
from pathlib import Path

import kdflow

COMMIT, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.dirty"
"""Tags; the first is MLflow's own."""
PATIENCE = 10.0
"""Seconds that git may take."""


@cache
def source_tags() -> dict[str, str]:
    """The tags of kdflow's own source; empty where it is no work tree of git, as where it is installed."""
    folder = Path(kdflow.__file__).parent
    try:
        _git(folder, "ls-files", "--error-unmatch", "__init__.py")  # another's repository may be around an installation
        commit, changed = _git(folder, "rev-parse", "HEAD"), _git(folder, "status", "--porcelain", "-uno", ".")
    except (OSError, subprocess.SubprocessError):
        return {}
    return {COMMIT: commit.strip(), DIRTY: "true" if changed.strip() else "false"}


def _git(folder: Path, *arguments: str) -> str:
    asked = ("git", "-C", str(folder), *arguments)
    return subprocess.run(asked, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
