"""Exporting: a trained model as a file that runs without kdflow."""

from pathlib import Path

from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.errors import UsageError
from kdflow.common.version import __version__
from kdflow.config import ExportConfig
from kdflow.data.base import IMAGE_SIZE
from kdflow.experiments.find_model import Model, find
from kdflow.models.export import BATCHES, Probabilities, Servable
from kdflow.models.onnx_program import IMAGES, require_onnx, to_onnx
from kdflow.models.pt2 import to_pt2


def run_export(model: str, config: ExportConfig) -> Path:
    """Writes a trained model to a file, whole or not at all; raw images in, probabilities out, any number of them.

    Args:
        model: A run, a registered model or a folder of weights.
        config: The options.

    Returns:
        The file.

    Raises:
        UsageError: what the format needs is not installed, or the file cannot be one.
        ModelError: see `kdflow.experiments.find_model.find`.
        KdflowError: the file cannot be written.
    """
    if config.format == "onnx":
        require_onnx()
    if config.output:
        _require_place(Path(config.output))
    found = find(model, config)
    path = Path(config.output or f"{_name(found)}.{config.format}")
    inside = found.network, found.card["mean"], found.card["std"]
    if config.format == "onnx":
        content = to_onnx(Probabilities(*inside), _facts(found))
        use = f'onnxruntime.InferenceSession("{path}").run(None, {{"{IMAGES}": images}})'
    else:
        content = to_pt2(Servable(*inside), _facts(found))
        use = f'torch.export.load("{path}").module()(images)'
    files.write(path, content)
    say(f"model: {found.name}", vital=True)
    takes = f"raw images uint8 [N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3] in, probabilities of {len(found.classes)} classes out"
    counts = ", ".join(map(str, BATCHES))
    say(f"{path}: {len(content) / 1e6:.2f} MB, {takes}; equal to the model's for {counts} images", vital=True)
    say(f"in Python: {use}", vital=True)
    return path


def _require_place(path: Path) -> None:
    if path.is_dir() or not path.name:
        raise UsageError(f"--output {path} is a folder: give a file in it")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    files.require_writable(path.parent, option="--output")


def _name(model: Model) -> str:
    """Network and weights: what is exported again gets the same name."""
    return f"{model.card['model'].replace(':', '-')}-{model.card['sha256'][:8]}"


def _facts(model: Model) -> dict[str, object]:
    """What the file says of itself."""
    told = ("classes", "model", "role", "data", "data_digest", "split_digest", "signature", "sha256")
    known = {name: model.card[name] for name in told if name in model.card}
    return {**known, "input": f"uint8 [N, {IMAGE_SIZE}, {IMAGE_SIZE}, 3], raw pixels", "kdflow": __version__}
