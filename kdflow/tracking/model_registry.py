"""The model registry: exported models, their versions, the champion, and the weights kept beside each run."""

import re
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr
from importlib.metadata import version
from io import StringIO
from pathlib import Path
from typing import Any

import mlflow
import mlflow.pytorch
import numpy as np
from mlflow.entities import Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.models import ModelSignature, set_signature
from mlflow.types import Schema, TensorSpec

from kdflow.common.console import say
from kdflow.data import Dataset
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.export import Servable
from kdflow.models.saved import read_network
from kdflow.models.weights import read_card
from kdflow.tracking.champion import CHAMPION, DIGESTS, Candidate, best_first, newest_first, sound
from kdflow.tracking.client import client, every_page
from kdflow.tracking.lineage import drop_unfinished, logged_model
from kdflow.tracking.presence import obstacle
from kdflow.tracking.record import EVERY_EPOCH

STARTED = "kdflow.started"
"""Tag of a version: when its training began, in milliseconds since 1970."""

LONGEST_NAME = 200
"""Letters of the name of a logged model."""


def registered_name(role: str, data: Dataset) -> str:
    """The registered model of a role and data set, such as "kdflow-student-cifar10"."""
    return f"kdflow-{role}-{data.label}"


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
    tags = dict(facts) | {tag: card[tag.removeprefix("kdflow.")] for tag in DIGESTS}
    tags[STARTED] = str(client().get_run(run_id).info.start_time)
    known = [one for one in client().search_model_versions(f"run_id = '{run_id}'") if one.name == name]
    if known:
        number = known[0].version
    else:
        drop_unfinished(run_id)
        logged = logged_model(run_id) or _log_model(run_id, weights, card, tags)
        with redirect_stderr(StringIO()):  # MLflow prints there what the caller prints better
            number = mlflow.register_model(f"models:/{logged}", name, tags=tags).version
    client().update_run(run_id, status="FINISHED")  # only runs that are can be champion
    _name_champions(name, (tags[DIGESTS[0]], tags[DIGESTS[1]]))
    return f"models:/{name}/{number}"


def model_name(run_name: str) -> str:
    """What the logged model of a run is called: as the run, with _ for what MLflow takes in no model's name."""
    return re.sub(r"[/:.%\"']", "_", run_name)[:LONGEST_NAME].strip() or "model"


def _log_model(run_id: str, weights: Path, card: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    run = client().get_run(run_id)
    logged = client().create_logged_model(
        run.info.experiment_id,
        name=model_name(run.info.run_name or ""),
        source_run_id=run_id,
        tags=dict(tags),
        params=run.data.params,
    )
    outputs = Schema([TensorSpec(np.dtype("float32"), (-1, len(card["classes"])))])
    mlflow.pytorch.log_model(
        Servable(read_network(weights, card), card["mean"], card["std"]),
        model_id=logged.model_id,
        step=_epochs(run),  # MLflow copies the metrics of that step; final ones are tied to their data sets besides
        run_id=run_id,  # MLflow would otherwise open and close a run around it
        serialization_format="pt2",
        input_example=np.zeros((2, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8),
        signature=ModelSignature(
            inputs=Schema([TensorSpec(np.dtype("uint8"), (-1, IMAGE_SIZE, IMAGE_SIZE, 3))]), outputs=outputs
        ),
        pip_requirements=[
            f"{package}=={version(package).partition('+')[0]}" for package in ("mlflow", "numpy", "torch")
        ],
        metadata={
            "classes": card["classes"],
            "data_digest": card["data_digest"],
            "input": f"uint8 [N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3], raw pixels",
        },
    )
    # With a schema of inputs, which the export asks for, a server would cut floats down to whole numbers unasked, and a
    # wrong shape would end in a dump of all pixels. The program itself checks what it gets.
    set_signature(f"models:/{logged.model_id}", ModelSignature(outputs=outputs))
    return str(logged.model_id)


def _epochs(run: Run) -> int:
    """How many epochs of a run were logged."""
    return next((metric.step for metric in run.data.to_proto().metrics if metric.key == EVERY_EPOCH), 1)


def _name_champions(name: str, data: tuple[str, str]) -> None:
    """Champion is the best of the newest data and split; of others, the best goes by an alias of its own.

    They are named again until no process that registers at the same time has changed who they must be.

    Args:
        name: Of the registered model.
        data: Digests of what was registered just now.
    """
    while True:
        aliases = {alias: str(number) for alias, number in client().get_registered_model(name).aliases.items()}
        found = _candidates(name)
        newest = next(filter(_usable, newest_first(found)), None)
        if newest is None:
            return
        present = next((one for one in found if one.version == aliases.get(CHAMPION)), newest)
        wanted = {CHAMPION: _best(found, newest.data) or newest}
        if len({one.data for one in found}) > 1:
            wanted |= {one.own_alias: one for one in (_best(found, kind) for kind in (data, present.data)) if one}
        changed = {alias: one for alias, one in wanted.items() if one.version != aliases.get(alias)}
        for alias, one in changed.items():
            client().set_registered_model_alias(name, alias, one.version)
        if not changed:
            return
        if CHAMPION in changed and present.data != newest.data:
            _tell_move(name, present, wanted)


def _candidates(name: str) -> list[Candidate]:
    found = every_page(lambda token: client().search_model_versions(f"name = '{name}'", page_token=token))
    return [_candidate(one) for one in found if set(DIGESTS) <= one.tags.keys()]


def _candidate(version: ModelVersion) -> Candidate:
    digests = version.tags[DIGESTS[0]], version.tags[DIGESTS[1]]
    started = int(version.tags.get(STARTED, version.creation_timestamp))
    return Candidate(str(version.run_id), started, _val_accuracy(version), digests, str(version.version))


def _best(found: Iterable[Candidate], data: tuple[str, str]) -> Candidate | None:
    return next(filter(_usable, best_first(found, data)), None)


def _usable(candidate: Candidate) -> bool:
    return obstacle(candidate.run_id) is None


def _tell_move(name: str, old: Candidate, named: Mapping[str, Candidate]) -> None:
    new, kept = named[CHAMPION], named.get(old.own_alias)
    pairs = zip(("data", "split"), old.data, new.data, strict=True)
    changed = " and ".join(f"{what} {before[:8]} to {after[:8]}" for what, before, after in pairs if before != after)
    stays = f"; version {kept.version}, the best on the former, is @{old.own_alias}" if kept else ""
    say(
        f"models:/{name}@{CHAMPION} is version {new.version} now, as the newest run went from {changed}{stays}",
        vital=True,
    )


def _val_accuracy(version: ModelVersion) -> float:
    """What a version scored."""
    return sound(version.tags.get("val_accuracy"))
