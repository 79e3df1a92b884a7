"""Encoded images, wherever they come from, as one array of pixels; what cannot be used is refused by name."""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.Image import Transpose

from kdflow.common.errors import DataError
from kdflow.data.base import IMAGE_SIZE, Split

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
DECODING = 3
"""Raised when the same files give other pixels or names of classes than before: older caches are then not used."""

# By EXIF orientation: how the pixels that a camera stored are turned to stand as it was held.
_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Item:
    """One image before decoding; `where` names it in messages."""

    where: str
    content: bytes | Path | None
    label: int | None


class Piece(Protocol):
    """Some of the images of a part, in order: a file of many, or a folder of one class."""

    @property
    def path(self) -> Path:
        """Where they are."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[Item]: ...


def decode(pieces: Sequence[Piece], *, classes: int | None, resize: bool) -> Split:
    """Decodes all images into one array, channels last in memory; one thread, as more were slower on small images.

    Args:
        pieces: Their images, in this order.
        classes: How many there are; None if any label from 0 will do.
        resize: Scale images to 32x32.

    Raises:
        DataError: there are none, too many for the memory, or one with unusable pixels or label.
    """
    count = sum(len(piece) for piece in pieces)
    if count == 0:
        raise DataError(f"{pieces[0].path} has no images, nor has any file or folder beside it: add some")
    try:
        images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
        labels = np.empty(count, dtype=np.int64)
    except (MemoryError, ValueError) as error:  # a ValueError is numpy's word for a size that no memory has
        folder = pieces[0].path.parent
        raise DataError(f"{folder}: its {count:,} images do not fit into memory; use fewer") from error
    items = (item for piece in pieces for item in piece)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", module=r"PIL\.TiffImagePlugin")  # of damaged EXIF, which every viewer ignores
        for index, item in enumerate(items):
            labels[index] = _label(item, classes)
            images[index] = _pixels(item, resize=resize)
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))


def _label(item: Item, classes: int | None) -> int:
    expected = f"0 to {classes - 1}" if classes else "a whole number from 0"
    if item.label is None:
        raise DataError(f"{item.where} has no label: expected {expected}")
    if not 0 <= item.label < (classes or 2**63):
        raise DataError(f"{item.where} has label {item.label}: expected {expected}, as in the training images")
    return item.label


def _pixels(item: Item, *, resize: bool) -> np.ndarray:
    """uint8 `[32, 32, 3]`, RGB, as every viewer shows it."""
    if not item.content:
        raise DataError(f"{item.where} has no image bytes: the images must be inside the file, not beside it")
    source = io.BytesIO(item.content) if isinstance(item.content, bytes) else item.content
    try:
        with Image.open(source, formats=FORMATS) as image:
            if image.mode[0] in "IF":  # Pillow would clip, not scale, to 8 bits
                raise DataError(f"{item.where} has more than 8 bits a pixel (mode {image.mode}): convert it to 8 bits")
            rgb = upright(image, as_rgb(image))
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes make them run into
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise DataError(f"{item.where} is no readable {'/'.join(FORMATS)} image: {reason}; replace it") from error
    width, height = size = (IMAGE_SIZE, IMAGE_SIZE)
    if rgb.size == size:
        return np.asarray(rgb)
    if not resize:
        found = "x".join(map(str, rgb.size))
        raise DataError(f"{item.where} is {found}, not {width}x{height}: --resize true scales all images")
    return scaled(rgb)


def scaled(rgb: Image.Image) -> np.ndarray:
    """uint8 `[32, 32, 3]`: scaled to that, antialiased, whatever its proportions are."""
    return np.asarray(rgb.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BILINEAR))


def as_rgb(image: Image.Image) -> Image.Image:
    """The pixels of an image as they are stored, on white where they are transparent.

    The colour under a transparent pixel is seen by nobody: where it is black, as drawing programs leave it, a black
    drawing would become a black square.
    """
    if not image.has_transparency_data:
        return image.convert("RGB")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return white.convert("RGB")


def upright(image: Image.Image, rgb: Image.Image) -> Image.Image:
    """The pixels of an image as its EXIF orientation says that they are shown; what is no orientation turns nothing.

    Args:
        image: All of it has been read: a PNG may have its EXIF after the pixels.
        rgb: Its pixels as they are stored.
    """
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises whatever damaged EXIF makes it run into; viewers show the image all the same
        turn = None
    return rgb if turn is None else rgb.transpose(turn)


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its name if it says nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0]
