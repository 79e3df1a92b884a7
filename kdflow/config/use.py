"""The options of the commands that use a trained model."""

from dataclasses import dataclass, replace

from kdflow.config.base import Checked, of
from kdflow.config.groups import RUNS_DIR
from kdflow.config.option import option

FORMATS = ("onnx", "pt2")


@dataclass(frozen=True)
class ModelConfig(Checked):
    """Where the run of a model is looked for."""

    runs_dir: str = of(replace(RUNS_DIR, help="Folder of runs, in which --offline looks for MODEL."))
    offline: bool = option(
        False, "Ask nothing of the MLflow store: take MODEL from --runs-dir.", incidental=True, group="keeping"
    )


@dataclass(frozen=True)
class PredictConfig(ModelConfig):
    """What is shown of the predictions."""

    top: int = option(1, "Classes shown of each image, the most probable first.", low=1, high=1_000_000, group="output")
    json: bool = option(False, "Print one JSON array, and nothing else.", group="output")


@dataclass(frozen=True)
class ExportConfig(ModelConfig):
    """What a model becomes."""

    format: str = option("onnx", "ONNX, or an exported program of PyTorch.", choices=FORMATS, group="output")
    output: str = option(
        "", "File to write; empty: named after network and weights, here.", metavar="PATH", group="output"
    )
