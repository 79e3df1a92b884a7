"""The model registry: exported models, their versions, the champion, and the weights kept beside each run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow
import mlflow.pytorch
import numpy as np
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from kdflow.data import Dataset
from kdflow.data.base import IMAGE_SIZE
from kdflow.errors import TeacherError
from kdflow.models.servable import Servable
from kdflow.options import Value, show
from kdflow.tracking.run import Run, data_tags
from kdflow.tracking.store import client, every_page, redact, reported, uri

CHAMPION = "champion"
WEIGHTS_FOLDER = "weights"


def registered_name(role: str, data: Dataset) -> str:
    """The registered model of a role and data set, such as "kdflow-student-cifar10"."""
    return f"kdflow-{role}-" + "".join(letter if letter.isalnum() else "-" for letter in data.name).strip("-").lower()


@reported
def register(run: Run, role: str, model: Servable, data: Dataset, facts: Mapping[str, Value]) -> str:
    """Logs a model to its run as an exported program, registers it, and names the champion anew.

    This ends the run as FINISHED: it is the last thing that a training run does.

    Args:
        run: The run that trained it.
        role: "teacher" or "student".
        model: As it was evaluated.
        data: Trained on.
        facts: Version tags, `val_accuracy` among them.

    Returns:
        The version's address, such as "models:/kdflow-student-digits/3".
    """
    name = registered_name(role, data)
    tags = {key: show(value) for key, value in facts.items()} | data_tags(data)
    example = data.val.images[:2].permute(0, 2, 3, 1).contiguous().numpy()
    with mlflow.start_run(run_id=run.id, nested=True):
        info = mlflow.pytorch.log_model(
            model,
            name="model",
            serialization_format="pt2",
            input_example=example,
            signature=ModelSignature(
                inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, IMAGE_SIZE, IMAGE_SIZE, 3))]),
                outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(data.classes)))]),
            ),
            pip_requirements=[
                f"{package}=={version(package).partition('+')[0]}" for package in ("mlflow", "numpy", "torch")
            ],
            metadata={"classes": list(data.classes), "data_digest": data.digest},
            tags=tags,
        )
        with redirect_stderr(StringIO()):  # MLflow prints there what the caller prints better
            registered = mlflow.register_model(info.model_uri, name, tags=tags)
    _name_champion(name, data)
    return f"models:/{name}/{registered.version}"


def versions(name: str, data: Dataset) -> list[ModelVersion]:
    """The versions of a registered model that were trained on these data and this split, newest first."""
    everything = every_page(lambda token: client().search_model_versions(f"name = '{name}'", page_token=token))
    ours = (one for one in everything if data_tags(data).items() <= one.tags.items())
    return sorted(ours, key=lambda one: int(one.version), reverse=True)


@reported
def newest_teacher(data: Dataset) -> str | None:
    """The run id of the newest registered teacher of these data whose run is finished and not deleted."""
    run_ids = (str(one.run_id) for one in versions(registered_name("teacher", data), data))
    return next((run_id for run_id in run_ids if _obstacle(run_id) is None), None)


@reported
def resolve_run(reference: str) -> str:
    """The run id that a run id, `models:/name/version` or `models:/name@alias` stands for.

    Raises:
        TeacherError: there is no such run, version or alias, or the run is deleted or not finished.
    """
    run_id = _registered_run(reference) if reference.startswith("models:/") else reference
    if obstacle := _obstacle(run_id):
        raise TeacherError(f"--teacher {reference}: {obstacle}")
    return run_id


@contextmanager
def weights_of(run_id: str) -> Iterator[Path]:
    """A private temporary folder with the weights and card of a run.

    Raises:
        TeacherError: the run keeps none.
    """
    with TemporaryDirectory(prefix="kdflow-") as folder:
        yield _download_weights(run_id, folder)


@reported
def _download_weights(run_id: str, folder: str) -> Path:
    if not client().list_artifacts(run_id, WEIGHTS_FOLDER):
        raise TeacherError(f"--teacher {run_id}: the run has no {WEIGHTS_FOLDER}; is it a kdflow teacher?")
    return Path(client().download_artifacts(run_id, WEIGHTS_FOLDER, folder))


def _registered_run(reference: str) -> str:
    name, at, alias = reference.removeprefix("models:/").partition("@")
    name, _, number = name.partition("/")
    try:
        found = client().get_model_version_by_alias(name, alias) if at else client().get_model_version(name, number)
    except MlflowException as error:
        if not _says_not_there(error):
            raise
        known = sorted(int(one.version) for one in client().search_model_versions(f"name = '{name}'"))
        listed = f"{name} has versions {', '.join(map(str, known))}" if known else f"no model {name!r} is registered"
        raise TeacherError(f"--teacher {reference}: no such version or alias; {listed}") from None
    return str(found.run_id)


def _obstacle(run_id: str) -> str | None:
    """Why a run cannot be used, or None if it is finished and not deleted."""
    try:
        info = client().get_run(run_id).info
    except MlflowException as error:
        if not _says_not_there(error):
            raise
        return f"there is no such run in {redact(uri())}"
    if info.lifecycle_stage != "active":
        return f"the run is deleted; restore it with `mlflow runs restore --run-id {run_id}`"
    if info.status != "FINISHED":
        return f"the run is {info.status}, not FINISHED; choose a finished one"
    return None


def _says_not_there(error: MlflowException) -> bool:
    return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")


def _name_champion(name: str, data: Dataset) -> None:
    """Champion is the best on validation; one of other data or another split, which does not compare, is left alone."""
    comparable = versions(name, data)
    present = client().get_registered_model(name).aliases.get(CHAMPION)
    if present and present not in {one.version for one in comparable}:
        run_id = str(client().get_model_version(name, present).run_id)
        if _obstacle(run_id) is None:
            return
    candidates = [one for one in comparable if _obstacle(str(one.run_id)) is None]
    best = max(candidates, key=lambda one: (float(one.tags["val_accuracy"]), -int(one.version)))
    client().set_registered_model_alias(name, CHAMPION, best.version)
