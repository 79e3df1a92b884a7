"""A model as an ONNX file: raw images in, probabilities out, its classes in the metadata."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdflow.common.errors import KdflowError, UsageError
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.export import Probabilities, example, require_equal

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
IMAGES, PROBABILITIES = "images", "probabilities"


def require_onnx() -> None:
    """Makes sure, before any work, that what writes and runs ONNX files is installed.

    Raises:
        UsageError: something is missing.
    """
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise UsageError(f"ONNX needs {' and '.join(missing)}: pip install 'kdflow[onnx]'")


def to_onnx(model: Probabilities, facts: Mapping[str, Any]) -> bytes:
    """The content of an ONNX file, after it was found to give the model's own probabilities.

    Args:
        model: From raw images uint8 `[batch, 32, 32, 3]`, any number of them.
        facts: What becomes its metadata: texts as they are, all else as JSON.

    Raises:
        KdflowError: it gives others.
    """
    program = torch.onnx.export(
        model,
        (example(),),
        dynamo=True,
        dynamic_shapes=({0: "batch"},),
        input_names=[IMAGES],
        output_names=[PROBABILITIES],
        verbose=False,
    )
    assert program is not None
    told = {name: fact if isinstance(fact, str) else json.dumps(fact) for name, fact in facts.items()}
    program.model.metadata_props.update(told)
    content = program.model_proto.SerializeToString()
    written = OnnxProgram(content)
    require_equal(lambda images: torch.from_numpy(written(images.numpy())), model)
    return content


class OnnxProgram:
    """An ONNX file that onnxruntime runs on the CPU, which executes no code of the file.

    Args:
        content: Of the file.

    Raises:
        KdflowError: it is damaged, or not as kdflow writes them.
    """

    def __init__(self, content: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what goes wrong is raised as well
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises whatever foreign bytes make it run into
            raise KdflowError("it is no ONNX model that can be read") from error
        self.facts: dict[str, str] = self._session.get_modelmeta().custom_metadata_map
        try:
            self.classes = tuple(map(str, json.loads(self.facts["classes"])))
        except (KeyError, ValueError, TypeError) as error:
            raise KdflowError("it does not say its classes: is it an export of kdflow?") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        shapes = [(one.name, one.type, one.shape[1:]) for one in (*inputs, *outputs)]
        if shapes != [
            (IMAGES, "tensor(uint8)", [IMAGE_SIZE, IMAGE_SIZE, 3]),
            (PROBABILITIES, "tensor(float)", [len(self.classes)]),
        ]:
            raise KdflowError("it does not take raw images to probabilities: is it an export of kdflow?")

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Probabilities float32 `[batch, classes]` of raw images uint8 `[batch, 32, 32, 3]`."""
        (found,) = self._session.run([PROBABILITIES], {IMAGES: images})
        return np.asarray(found)


def read_onnx(path: Path) -> OnnxProgram:
    """The program in a file.

    Raises:
        KdflowError: see `OnnxProgram`.
        UsageError: see `require_onnx`.
    """
    require_onnx()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise KdflowError(f"it cannot be read: {error.strerror or error}") from error
    return OnnxProgram(content)
