"""From what a user calls a trained model to its network and card: a run, a registered version, a folder of weights."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kdflow.common.errors import KdflowError, ModelError, TeacherError, TrackingError
from kdflow.common.text import redact
from kdflow.config import ModelConfig
from kdflow.experiments.find_teacher import described
from kdflow.experiments.session import readable
from kdflow.models.saved import read_network, require_usable
from kdflow.models.weights import CARD, read_card
from kdflow.tracking.address import sqlite_file, uri
from kdflow.tracking.checks import require_store
from kdflow.tracking.record import WEIGHTS_FOLDER

KEPT_HERE = "use what is kept here with --offline"
INSTEAD = f"give a run, a registered model, or a folder with weights.pt and {CARD}"
OF_FILES = (".pt2", ".pt", ".pth", ".onnx")


@dataclass(frozen=True)
class Model:
    """A trained network.

    Attributes:
        name: What it is, for people, such as "models:/kdflow-student-digits/3 (run 3fa2..., test 85.52 %)".
        network: In eval mode; normalised images to logits.
        card: What its run says of it.
    """

    name: str
    network: nn.Module
    card: dict[str, Any]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of its outputs."""
        return tuple(map(str, self.card["classes"]))


def find(text: str, config: ModelConfig) -> Model:
    """Reads the weights of a model; nothing that a file says is run.

    Args:
        text: Whatever `kdflow.tracking.references` knows, or a folder with weights and card, or a file in it.
        config: Where runs are looked for.

    Raises:
        ModelError: there is none, its run is not finished, or its files are damaged or could run code.
        TrackingError: the store cannot be used.
    """
    if is_file(text):
        folder = _folder(Path(text))
        with _told_of(text):
            return _model(text, folder)
    try:
        return _of_run(text, config)
    except TeacherError as error:  # runs are mostly asked for by --teacher
        raise ModelError(str(error).removeprefix("--teacher ")) from None


def is_file(text: str) -> bool:
    """Whether a text names a file or folder, be it there or not, and not a run."""
    if text.startswith(("models:/", "runs:/")):
        return False
    return os.path.exists(text) or os.sep in text or text.endswith(OF_FILES)


def _folder(path: Path) -> Path:
    """Where weights and card are."""
    if not path.exists():
        raise ModelError(f"there is no {path}: {INSTEAD}")
    if path.suffix == ".pt2":
        raise ModelError(
            f"{path} is an exported program, which PyTorch reads in a way that can run code: {INSTEAD}, "
            "or to predict an .onnx file"
        )
    for folder in (path, path / WEIGHTS_FOLDER, path.parent if path.is_file() else path):
        if (folder / CARD).is_file():
            return folder
    raise ModelError(f"{path} holds no {CARD}, without which weights say nothing: {INSTEAD}")


def _of_run(text: str, config: ModelConfig) -> Model:
    if not config.offline:
        require_store(KEPT_HERE)
        if (file := sqlite_file()) and not file.exists():
            raise TrackingError(f"there is no store {redact(uri())}: set MLFLOW_TRACKING_URI, or {KEPT_HERE}")
    runs = readable(config.runs_dir, offline=config.offline)
    run_id = runs.resolve_run(text)
    with runs.weights_of(run_id) as folder, _told_of(text):
        return _model(described(run_id, runs), folder)


def _model(name: str, folder: Path) -> Model:
    card = read_card(folder)
    require_usable(card)
    return Model(name, read_network(folder, card).eval(), card)


@contextmanager
def _told_of(text: str) -> Iterator[None]:
    """Within this, what is wrong with files is told of the model that is meant."""
    try:
        yield
    except TrackingError:
        raise
    except KdflowError as error:
        raise ModelError(f"{text}: {error}") from None
