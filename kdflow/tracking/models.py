"""The model registry: exported models, their versions, the champion, and the weights kept beside each run."""

import math
from collections.abc import Mapping
from contextlib import redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import numpy as np
from mlflow.entities import LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

from kdflow import models
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.servable import Servable
from kdflow.tracking.store import client, every_page, obstacle
from kdflow.weights import read_card, read_weights

CHAMPION = "champion"
WEIGHTS_FOLDER = "weights"
DATA_TAGS = ("kdflow.data", "kdflow.data_digest", "kdflow.split_digest")


def registered_name(role: str, data: str) -> str:
    """The registered model of a role and data set, such as "kdflow-student-cifar10"."""
    return f"kdflow-{role}-" + "".join(letter if letter.isalnum() else "-" for letter in data).strip("-").lower()


def register(run_id: str, name: str, weights: Path, facts: Mapping[str, str]) -> str:
    """Logs a model to its run as an exported program, registers it, and names the champion anew.

    What an earlier attempt has done stays. This ends the run as FINISHED.

    Args:
        run_id: Of the run that trained it.
        name: Under which it is registered.
        weights: Folder of its weights and card.
        facts: Version tags, `val_accuracy` among them.

    Returns:
        The version's address, such as "models:/kdflow-student-digits/3".
    """
    card = read_card(weights)
    tags = dict(facts) | {tag: card[tag.removeprefix("kdflow.")] for tag in DATA_TAGS}
    known = client().search_model_versions(f"run_id = '{run_id}'")
    if known:
        number = known[0].version
    else:
        logged = _logged_model(run_id) or _log_model(run_id, weights, card, tags)
        with redirect_stderr(StringIO()):  # MLflow prints there what the caller prints better
            number = mlflow.register_model(f"models:/{logged}", name, tags=tags).version
    client().update_run(run_id, status="FINISHED")  # only runs that are can be champion
    _name_champion(name, tags)
    return f"models:/{name}/{number}"


def _logged_model(run_id: str) -> str | None:
    """The id of the exported program that a run has logged already; one that was not logged to its end is deleted."""
    experiment = client().get_run(run_id).info.experiment_id
    whole = None
    for logged in client().search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if logged.status == LoggedModelStatus.READY:
            whole = str(logged.model_id)
        else:
            client().delete_logged_model(logged.model_id)
    return whole


def _log_model(run_id: str, weights: Path, card: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    network = models.build(card["model"], len(card["classes"]), seed=0)
    network.load_state_dict(read_weights(weights), strict=True)
    run = client().get_run(run_id)
    logged = client().create_logged_model(
        run.info.experiment_id, name="model", source_run_id=run_id, tags=dict(tags), params=run.data.params
    )
    mlflow.pytorch.log_model(
        Servable(network, card["mean"], card["std"]),
        model_id=logged.model_id,
        run_id=run_id,  # MLflow would otherwise open and close a run around it
        serialization_format="pt2",
        input_example=np.zeros((2, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, IMAGE_SIZE, IMAGE_SIZE, 3))]),
            outputs=Schema([TensorSpec(np.dtype("float32"), (-1, len(card["classes"])))]),
        ),
        pip_requirements=[
            f"{package}=={version(package).partition('+')[0]}" for package in ("mlflow", "numpy", "torch")
        ],
        metadata={"classes": card["classes"], "data_digest": card["data_digest"]},
    )
    return str(logged.model_id)


def versions(name: str, data: Mapping[str, str]) -> list[ModelVersion]:
    """The versions of a registered model that carry these data tags, newest first."""
    everything = every_page(lambda token: client().search_model_versions(f"name = '{name}'", page_token=token))
    wanted = {tag: data[tag] for tag in DATA_TAGS}
    ours = (one for one in everything if wanted.items() <= one.tags.items())
    return sorted(ours, key=lambda one: int(one.version), reverse=True)


def _name_champion(name: str, data: Mapping[str, str]) -> None:
    """Champion is the best on validation; one of other data or another split, which does not compare, is left alone.

    It is named again until no process that registers at the same time has changed who it must be.
    """
    while True:
        present = client().get_registered_model(name).aliases.get(CHAMPION)
        comparable = versions(name, data)
        if present and present not in {one.version for one in comparable}:
            run_id = str(client().get_model_version(name, present).run_id)
            if obstacle(run_id) is None:
                return
        ranked = sorted(comparable, key=lambda one: (-_val_accuracy(one), int(one.version)))
        best = next((one for one in ranked if obstacle(str(one.run_id)) is None), None)
        if best is None or best.version == present:
            return
        client().set_registered_model_alias(name, CHAMPION, best.version)


def _val_accuracy(version: ModelVersion) -> float:
    """What a version scored; worse than any score where nothing sound is noted."""
    try:
        score = float(version.tags["val_accuracy"])
    except (KeyError, ValueError):
        score = math.nan
    return score if math.isfinite(score) else -math.inf
