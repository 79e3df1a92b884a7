"""Being run by `mlflow run`: what is typed there to go on, and what does not last there."""

import os
import tempfile
from pathlib import Path

from kdflow.common.text import command, redact

GIVEN = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_TRACKING_URI")
"""What `mlflow run` hands to an entry point."""

_project = Path.cwd() if all(name in os.environ for name in GIVEN) and Path("MLproject").is_file() else None


def how_to_go_on(kind: str, reference: str, runs_dir: str, *, here: str) -> str:
    """What to type to go on with a command, and where its folder of runs would be lost, how to keep it next time.

    Args:
        kind: "teacher", "student" or "study".
        reference: Of the run.
        runs_dir: As it was given.
        here: What to type in a shell that is in this folder and has this store.
    """
    if _project is None:
        return here
    entry = [] if kind == "study" else ["-e", kind]
    where = [] if runs_dir == "runs" else ["-P", f"runs_dir={runs_dir}"]
    again = command("mlflow", "run", str(_project), *entry, "-P", f"resume={reference}", *where)
    said = f"{again} (or: {typed(here)})"
    if not Path(runs_dir).is_absolute() and _project.is_relative_to(Path(tempfile.gettempdir()).resolve()):
        said += (
            f"; {_project / runs_dir} is in a temporary folder, as of a project that is run from a git address: "
            "to keep what is needed to go on, give `-P runs_dir=` a whole path"
        )
    return said


def typed(here: str) -> str:
    """A command as it is typed outside the project too, where `mlflow run` has gone to its folder for the user.

    Args:
        here: What to type in a shell that is in this folder and has this store.
    """
    return here if _project is None else f"{command('cd', str(_project))} && {_store()}{here}"


def _store() -> str:
    """The store's address as it is set in front of a command; what holds a secret is left to the user."""
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    if redact(address) != address:
        return "with MLFLOW_TRACKING_URI set, "
    return f"MLFLOW_TRACKING_URI={command(address)} "
