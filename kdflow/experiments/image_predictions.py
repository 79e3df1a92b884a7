"""What a model says of images: the most probable classes of each."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kdflow.common.html import html_table, inert

if TYPE_CHECKING:
    from pandas import DataFrame

WORDS = ("image", "class")
"""Headings of columns that hold words."""


@dataclass(frozen=True)
class ImagePrediction:
    """What a model says of one image.

    Attributes:
        image: The file.
        size: Its width and height, before it was scaled.
        classes: Names and probabilities, the most probable first.
    """

    image: str
    size: tuple[int, int]
    classes: tuple[tuple[str, float], ...]

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[0][0]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it."""
        found = [{"class": name, "probability": probability} for name, probability in self.classes]
        return {"image": self.image, "size": list(self.size), "predictions": found}


@dataclass(frozen=True)
class ImagePredictions(Sequence[ImagePrediction]):
    """What a model says of some images, in their order.

    Attributes:
        model: What said it.
        predictions: One for each image that could be read.
        unreadable: One line for each that could not.
        notes: What was done to the images, and what was passed over.
    """

    model: str
    predictions: tuple[ImagePrediction, ...]
    unreadable: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.predictions)

    def __getitem__(self, index: Any) -> Any:
        return self.predictions[index]

    @property
    def cells(self) -> dict[str, list[str]]:
        """Heading to cells, a line for each class of each image."""
        lines = list(self._lines())
        return {
            "image": [image if first else "" for image, first, _, _ in lines],
            "class": [name for _, _, name, _ in lines],
            "probability": [f"{100 * probability:.2f} %" for _, _, _, probability in lines],
        }

    def json_text(self) -> str:
        """One JSON array, an object an image, each on a line of its own."""
        lines = ",\n".join(f"  {json.dumps(one.as_dict())}" for one in self.predictions)
        return f"[\n{lines}\n]" if lines else "[]"

    def to_frame(self) -> "DataFrame":
        """Returns a line for each class of each image, probabilities as fractions."""
        from pandas import DataFrame

        lines = [(image, name, probability) for image, _, name, probability in self._lines()]
        return DataFrame(lines, columns=["image", "class", "probability"])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        below = "".join(f"\n<p>{inert(line)}</p>" for line in (*self.notes, *self.unreadable))
        return html_table(self.cells, WORDS) + below

    def _lines(self) -> Iterator[tuple[str, bool, str, float]]:
        for one in self.predictions:
            for rank, (name, probability) in enumerate(one.classes):
                yield one.image, rank == 0, name, probability
