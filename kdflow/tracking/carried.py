"""What is kept here of a command, carried along as an artifact of its run, so that another machine can go on with it.

The artifact is one archive of the command's folder: journal, artifacts and checkpoints. Its name says how many entries
the journal had, and the beginning of its SHA-256, so that of several the newest whole one is taken.
"""

import hashlib
import io
import shutil
import tarfile
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow.entities import Run
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

from kdflow.common import process
from kdflow.common.console import say, warn
from kdflow.common.errors import KdflowError
from kdflow.journal.journal import Journal
from kdflow.tracking.address import uri
from kdflow.tracking.client import all_experiment_ids, client
from kdflow.tracking.surroundings import KEY_TAG, SIGNATURE_TAG
from kdflow.tracking.trouble import TROUBLE, failure, reported

FOLDER = "resume"
"""Of the artifacts of a command's own run; it is removed once there is nothing left to go on with."""
CARRIED = ("run.json", "journal.jsonl", "delivered.json", "artifacts", "checkpoints")


def send(journal: Journal) -> None:
    """Gives the store what is needed to go on from here; if it cannot take that, training goes on all the same.

    Raises:
        KdflowError: another process has taken the run over, which the store knows first.
    """
    if journal.key not in journal.ids:
        return
    try:
        _require_mine(journal)
        with TemporaryDirectory(prefix="kdflow-") as folder:
            content = _packed(journal.folder)
            digest = hashlib.sha256(content).hexdigest()
            path = Path(folder) / f"{len(journal.entries):08d}-{digest[:16]}.tar"
            path.write_bytes(content)
            before = client().list_artifacts(journal.id, FOLDER)
            client().log_artifact(journal.id, str(path), FOLDER)
        _remove(journal, [one.path for one in before])
    except TROUBLE as error:
        why = failure(error)
        warn(f"the store was not given what another machine would go on with ({why}); the next epoch tries again")


@reported
def fetch(runs_dir: Path, kind: str, signature: str) -> None:
    """Brings here what another machine gave the store of a command that was stopped, unless as much is here.

    Args:
        runs_dir: Where the folders of commands are.
        kind: Of the command.
        signature: What it is known by.

    Raises:
        KdflowError: it cannot be written.
        TrackingError: the store cannot be used.
    """
    asked = (
        f"tags.`kdflow.role` = '{kind}' and tags.`{SIGNATURE_TAG}` = '{signature}' and attributes.status != 'FINISHED'"
    )
    for run in client().search_runs(all_experiment_ids(), asked):
        given = sorted((one.path for one in client().list_artifacts(run.info.run_id, FOLDER)), reverse=True)
        if given and _bring(run, given[0], runs_dir):
            return


def drop(journal: Journal) -> None:
    """Removes from the store what nobody will go on with."""
    with suppress(*TROUBLE):
        _remove(journal, [one.path for one in client().list_artifacts(journal.id, FOLDER)])


def _bring(run: Run, artifact: str, runs_dir: Path) -> bool:
    entries, digest = Path(artifact).stem.split("-")
    folder = runs_dir / run.data.tags[KEY_TAG].partition("@")[0]
    if folder.is_dir() and len(Journal(folder).entries) >= int(entries):
        return False
    with TemporaryDirectory(prefix="kdflow-") as place:
        content = Path(client().download_artifacts(run.info.run_id, artifact, place)).read_bytes()
    if not hashlib.sha256(content).hexdigest().startswith(digest):
        warn(f"run {run.info.run_id}: {artifact} is damaged; it is passed over")
        return False
    unpacked = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(unpacked, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(unpacked, filter="data")
    shutil.rmtree(folder, ignore_errors=True)
    unpacked.rename(folder)
    say(f"{folder.name}: brought from the store, where another machine left it")
    return True


def _require_mine(journal: Journal) -> None:
    now = client().get_run(journal.id).data.tags.get("kdflow.process", "")
    if now != process.identity():
        raise KdflowError(
            f"run {journal.id} is gone on with by another process, on {process.host_of(now)}: this one ends"
        )


def _packed(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in CARRIED:
            if (folder / name).exists():
                archive.add(folder / name, name)
    return packed.getvalue()


def _remove(journal: Journal, paths: list[str]) -> None:
    repository = get_artifact_repository(str(client().get_run(journal.id).info.artifact_uri), tracking_uri=uri())
    for path in paths:
        with suppress(Exception):  # who may write may not delete everywhere
            repository.delete_artifacts(path)
