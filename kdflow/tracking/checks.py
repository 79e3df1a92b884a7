"""What is asked of the store before any work, so that nothing is trained in vain."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from mlflow.exceptions import MlflowException

from kdflow.common.errors import TrackingError
from kdflow.common.text import redact
from kdflow.journal.journal import Journal
from kdflow.tracking import relocation
from kdflow.tracking.address import sqlite_file, uri
from kdflow.tracking.artifact_place import require_artifacts
from kdflow.tracking.client import client
from kdflow.tracking.experiments import artifact_root, chosen_experiment, experiment_id, find_experiment
from kdflow.tracking.store_answer import require_answer
from kdflow.tracking.trouble import reported, reporting

OFFLINE = "train now with --offline, and tell it later with `kdflow sync`"


def require_store(otherwise: str = OFFLINE) -> None:
    """Learns before any work whether the store can be used; a sqlite file that is not there yet is not made for this.

    Args:
        otherwise: What to do if it cannot.

    Raises:
        TrackingError: it cannot.
    """
    with _or(otherwise):
        require_answer()


def require_ready(journal: Journal | None = None, otherwise: str = OFFLINE, *, named: str = "") -> None:
    """Learns before any work whether the store takes runs and artifacts in the experiment that they are for.

    Args:
        journal: Of a command that is gone on with.
        named: A run whose experiment it is, since the command's own run is this one or nested in it.
        otherwise: What to do if it does not.

    Raises:
        TrackingError: it does not.
    """
    with _or(otherwise):
        require_answer()
        chosen = _experiment(journal, named)
        found, root = find_experiment(chosen), artifact_root()
        if found:
            require_artifacts(found.name, found.artifact_location)
        elif root:
            require_artifacts(chosen.get("name", "0"), str(root))


def make_ready(journal: Journal | None = None, otherwise: str = OFFLINE, *, named: str = "") -> None:
    """Makes the experiment where only then the store says where its artifacts go, and learns whether it takes them.

    Args:
        journal: Of a command that is gone on with.
        otherwise: What to do if it does not.
        named: See `require_ready`.

    Raises:
        TrackingError: it does not.
    """
    chosen = _experiment(journal, named)
    if artifact_root() or find_experiment(chosen):
        return
    with _or(otherwise):
        made = client().get_experiment(experiment_id(chosen))
        require_artifacts(made.name, made.artifact_location)


def require_artifacts_in_place() -> None:
    """Makes sure that a sqlite store was not moved away from the artifacts of its experiments, or together with them.

    Raises:
        TrackingError: it was; MLflow would look for artifacts, and make new ones, where they are no more.
    """
    file = sqlite_file()
    for old, new in (relocation.moved(file, relocation.EXPERIMENTS) if file else {}).items():
        raise TrackingError(
            f"the store {redact(uri())} was moved or copied: its artifacts are in {new}, not in {old}; "
            f"{relocation.MEND}"
        )


@reported
def require_experiment(name: str) -> None:
    """Learns whether runs can go to an experiment of this name.

    Raises:
        Refused: it is deleted, or no name.
    """
    find_experiment({"name": name})


@contextmanager
def _or(otherwise: str) -> Iterator[None]:
    try:
        with reporting():
            yield
    except TrackingError as error:
        raise TrackingError(f"{error}; {otherwise}") from error


def _experiment(journal: Journal | None, named: str) -> dict[str, str]:
    """What is gone on with stays where it is; a run that is named decides; else the environment does."""
    known = journal.ids.get(journal.key, named) if journal else named
    file = sqlite_file()
    if known and (file is None or file.exists()):
        with suppress(MlflowException):  # what is wrong with that run is asked elsewhere
            return {"id": client().get_run(known).info.experiment_id}
    return (journal.experiment if journal else None) or chosen_experiment()
