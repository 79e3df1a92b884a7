"""What a section of the page is made of; each block has a macro of its name in templates/blocks.html.j2."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdflow.analysis.answer import Parting
from kdflow.analysis.cells import NAMES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WORDS = (*NAMES, "arm", "class", "taken for", "label \\ answer")
"""Headings of the columns that hold words."""
THUMBNAIL = 96


@dataclass(frozen=True)
class Text:
    """Paragraphs, or where `is_list`, the items of a list."""

    lines: Sequence[str]
    is_list: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        caption: What it shows, and what not to conclude.
        columns: Heading to cells; the first names the lines.
        shades: Heading to how dark each cell is, from -1 (loss) to 1 (gain).
        links: Of the lines; empty where there is none.
        is_matrix: Whether it scrolls sideways where it is narrow, rather than show cell under cell.
    """

    caption: str
    columns: Mapping[str, Sequence[str]]
    shades: Mapping[str, Sequence[float]] = field(default_factory=dict)
    links: Sequence[str] = ()
    is_matrix: bool = False
    kind: str = "table"

    @property
    def lines(self) -> list[list[tuple[str, str, float | None]]]:
        """Of each line its cells: heading, text, shade."""
        shown = [
            [(heading, cell, shade) for cell, shade in zip(cells, self._shades(heading, len(cells)), strict=True)]
            for heading, cells in self.columns.items()
        ]
        return [list(line) for line in zip(*shown, strict=True)]

    def _shades(self, heading: str, count: int) -> Sequence[float | None]:
        return self.shades.get(heading, [None] * count)


@dataclass(frozen=True)
class Picture:
    """A figure as an element of HTML, and what it shows."""

    svg: str
    caption: str
    kind: str = "picture"


@dataclass(frozen=True)
class Gallery:
    """Test images, each with what it is and what is made of it."""

    caption: str
    partings: Sequence[tuple[Parting, str]]
    kind: str = "gallery"


@dataclass(frozen=True)
class Facts:
    """How the numbers were made, and links."""

    facts: Mapping[str, str]
    links: Mapping[str, str]
    kind: str = "facts"


@dataclass(frozen=True)
class Section:
    """A section of the page, of which the table of contents has a line.

    Attributes:
        key: Its name within the page.
        title: Its heading.
        blocks: What it holds.
    """

    key: str
    title: str
    blocks: Sequence[Text | Table | Picture | Gallery | Facts]


def thumbnail(image: "NDArray[np.uint8]") -> str:
    """Returns a small image as an address that holds it.

    Args:
        image: uint8 `[H, W, 3]`.
    """
    from PIL import Image

    small = Image.fromarray(image)
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    small.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
