"""Pictures from anywhere, in any format and size, as the pixels that a model takes; what cannot be read is refused."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from kdflow.common.errors import DataError
from kdflow.data.images import as_rgb, first_line, scaled, upright
from kdflow.data.names import in_order

UNREAD = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
"""Pillow hands EPS to Ghostscript, which runs what the file says; the others it knows by their first bytes alone."""
WHITE_16 = 2**16 - 1


@dataclass(frozen=True)
class Picture:
    """An image file as a model takes it.

    Attributes:
        path: Of the file.
        size: Its width and height, as every viewer shows it.
        pixels: uint8 `[32, 32, 3]`, RGB, scaled as `--resize true` scales the images of a training.
    """

    path: Path
    size: tuple[int, int]
    pixels: np.ndarray


def read_picture(path: Path) -> Picture:
    """Reads an image in any format that Pillow decodes by itself; of several frames, the first.

    Args:
        path: Grey, with a palette, transparent (then on white), CMYK, of 16 bits, or turned by EXIF.

    Raises:
        DataError: it is missing, damaged, no image, or has pixels of which nobody knows which are white.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what damaged files make Pillow say; it shows the image all the same
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=_formats()) as image:
                rgb = upright(image, as_rgb(_of_8_bits(image, path)))
    except DataError:
        raise
    except OSError as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error.strerror or first_line(error)
        raise DataError(f"{path} is no readable image: {reason}") from error
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes make them run into
        raise DataError(f"{path} is no readable image: {first_line(error)}") from error
    return Picture(path, rgb.size, scaled(rgb))


def picture_files(place: Path) -> tuple[list[Path], int]:
    """The image files of a folder and of those within it, in order, and how many other files were passed over.

    Args:
        place: A folder; a file is taken as an image, whatever it is called.

    Raises:
        DataError: there is no such place, it cannot be read, or it holds no image.
    """
    if place.is_file():
        return [place], 0
    if not place.is_dir():
        raise DataError(f"there is no file {place}")
    found = list(_within(place))
    images = [path for path in found if path.suffix.lower() in _suffixes() and not _is_hidden(path, place)]
    if not images:
        raise DataError(f"{place} holds no image, nor does any folder within it")
    return images, len(found) - len(images)


def _within(folder: Path) -> Iterator[Path]:
    """All files, those of inner folders after those beside them; links to folders are not followed."""
    try:
        content = sorted(folder.iterdir(), key=in_order)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error
    yield from (path for path in content if path.is_file())
    for inner in content:
        if inner.is_dir() and not inner.is_symlink():
            yield from _within(inner)


def _is_hidden(path: Path, place: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(place).parts)


def _of_8_bits(image: Image.Image, path: Path) -> Image.Image:
    """The same, scaled where it has 16 bits a pixel, which Pillow would clip."""
    if image.mode == "F":
        raise DataError(
            f"{path} has floating-point pixels, of which nobody knows which are white: convert it to 8 bits"
        )
    if image.mode[0] != "I":
        return image
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > WHITE_16:
        raise DataError(f"{path} has more than 16 bits a pixel: convert it to 8 bits")
    return Image.fromarray(np.rint(values / (WHITE_16 / 255)).astype(np.uint8))


def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.OPEN if name not in UNREAD]


def _suffixes() -> set[str]:
    formats = set(_formats())
    return {suffix for suffix, name in Image.registered_extensions().items() if name in formats}
