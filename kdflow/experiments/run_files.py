"""What a training run keeps beside its metrics: the card of its weights, and what it was computed with."""

import os
import platform
from importlib.metadata import version

import torch

from kdflow.common.version import __version__
from kdflow.config import StudentConfig, TeacherConfig
from kdflow.data import Dataset
from kdflow.data.base import IMAGE_SIZE
from kdflow.device.runtime import Runtime, cpu_name


def card(config: TeacherConfig | StudentConfig, role: str, signature: str, data: Dataset) -> dict[str, object]:
    """What is written beside the weights of a model, for those who load it.

    Args:
        config: Of its run.
        role: "teacher" or "student".
        signature: Of its run.
        data: What it saw.
    """
    return {
        "role": role,
        "signature": signature,
        "model": config.model,
        "classes": list(data.classes),
        "image_size": IMAGE_SIZE,
        "mean": list(data.mean),
        "std": list(data.std),
        "data": data.name,
        "data_digest": data.digest,
        "split_digest": data.split_digest,
        "kdflow": __version__,
        "torch": torch.__version__,
    }


def environment(runtime: Runtime) -> dict[str, object]:
    """Versions, system and processor of a run."""
    import torchvision

    return {
        "kdflow": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "mlflow": version("mlflow"),
        "system": platform.platform(),
        "processor": cpu_name(),
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "computed on": runtime.describe(),
    }
