"""What a finished model makes of validation and test images: logits, kept so that all can be reckoned again.

One file holds them, without pickle: for each part float32 logits, labels, and the place of each image in the official
training or test part; and the names of the classes. Whoever compares runs needs neither model nor images.
"""

import io
import zipfile
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kdflow.common.errors import KdflowError

PREDICTIONS = "predictions.npz"
"""The artifact of a training run that holds them."""


@dataclass(frozen=True)
class Predicted:
    """What one model makes of the images of one part.

    Attributes:
        logits: float32 `[N, classes]`.
        labels: int64 `[N]`.
        index: int64 `[N]`, the place of each image in the official part that it is from.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    index: NDArray[np.int64]


@dataclass(frozen=True)
class Predictions:
    """What one model makes of all images that it did not learn from.

    Attributes:
        val: Of the validation images, clean.
        test: Of the test images.
        classes: Their names.
    """

    val: Predicted
    test: Predicted
    classes: tuple[str, ...]

    def to_bytes(self) -> bytes:
        """As the content of a file; the same for the same predictions."""
        arrays: dict[str, NDArray[np.generic]] = {"classes": np.array(self.classes, np.str_)}
        for part, predicted in (("val", self.val), ("test", self.test)):
            arrays |= {f"{part}_{name}": array for name, array in vars(predicted).items()}
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Predictions":
        """What `to_bytes` gave.

        Raises:
            KdflowError: it is something else, or damaged.
        """
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as kept:
                classes = tuple(map(str, kept["classes"]))
                val, test = _part(kept, "val"), _part(kept, "test")
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise KdflowError(f"{PREDICTIONS} is damaged: it holds no arrays that can be read") from error
        for part in (val, test):
            count = len(part.labels)
            shapes = part.logits.shape, part.labels.shape, part.index.shape
            if shapes != ((count, len(classes)), (count,), (count,)):
                raise KdflowError(f"{PREDICTIONS} is damaged: its arrays do not fit together")
            if count and (part.labels.min() < 0 or part.labels.max() >= len(classes) or part.index.min() < 0):
                raise KdflowError(f"{PREDICTIONS} is damaged: it has labels or places that there are not")
        return cls(val, test, classes)


def _part(kept: "np.lib.npyio.NpzFile", name: str) -> Predicted:
    logits, labels, index = (kept[f"{name}_{array}"] for array in ("logits", "labels", "index"))
    return Predicted(logits.astype(np.float32), labels.astype(np.int64), index.astype(np.int64))
