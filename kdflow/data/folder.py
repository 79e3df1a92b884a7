"""A folder of images: the parquet layout of public data hubs, or one folder a class.

Parquet: `train-*.parquet` and `test-*.parquet`, columns `img` (or `image`): struct with `bytes`, and `label`: whole
numbers; class names in the schema metadata. Class folders: `train/<class>/*.png` and `test/<class>/*.png`.
"""

import io
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from PIL import Image, UnidentifiedImageError

from kdflow.data.base import IMAGE_SIZE, RawData, Split
from kdflow.errors import DataError

FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
LAYOUTS = "train-*.parquet and test-*.parquet, or train/<class>/*.png and test/<class>/*.png"
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class _Item:
    """One image before decoding; `where` names it in messages."""

    where: str
    content: bytes | Path | None
    label: int | None


def read_folder(folder: Path, *, resize: bool) -> RawData:
    """Reads the training and test images of a folder, in the order of their sorted file names.

    Args:
        folder: In one of the two layouts.
        resize: Scale every image to 32x32, antialiased, instead of refusing other sizes.

    Raises:
        DataError: the folder has neither layout, or a file, image or label in it cannot be used.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}: give --dataset an existing one")
    try:
        if any(folder.glob("*.parquet")):
            return _read_parquet(folder, resize=resize)
        if (folder / "train").is_dir():
            return _read_class_folders(folder, resize=resize)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    raise DataError(f"{folder} holds no data set: expected {LAYOUTS}")


def _read_parquet(folder: Path, *, resize: bool) -> RawData:
    shards = {part: [_Shard(path) for path in _shard_paths(folder, part)] for part in ("train", "test")}
    named = next((shard for shard in shards["train"] if shard.classes), shards["train"][0])
    classes = named.classes
    for shard in (*shards["train"], *shards["test"]):
        if shard.classes and shard.classes != classes:
            pairs = enumerate(zip_longest(shard.classes, classes))
            label, (found, expected) = next((label, pair) for label, pair in pairs if pair[0] != pair[1])
            raise DataError(f"{shard.path} calls label {label} {found!r}, but {named.path} calls it {expected!r}")
    train = _decode(shards["train"], classes=len(classes) or None, resize=resize)
    count = len(classes) or int(train.labels.max()) + 1
    present = train.labels.unique().tolist()
    if len(present) < count:
        missing = next(label for label in range(count) if label >= len(present) or present[label] != label)
        name = classes[missing] if classes else missing
        raise DataError(f"{folder}: class {name} has no training images: add some, or leave the class out")
    test = _decode(shards["test"], classes=count, resize=resize)
    return RawData(train, test, classes or tuple(str(label) for label in range(count)))


def _shard_paths(folder: Path, part: str) -> list[Path]:
    paths = sorted(folder.glob(f"{part}-*.parquet"), key=lambda path: path.name)
    if not paths:
        raise DataError(f"{folder} has no {part} part: expected {part}-*.parquet")
    announced = re.search(r"-of-(\d+)", paths[0].name)
    if announced and int(announced[1]) != len(paths):
        count = f"{len(paths)} of {int(announced[1])}"
        raise DataError(f"{folder} has {count} {part}-*.parquet files: fetch all of them, of one version")
    return paths


class _Shard:
    """One parquet file: its length, its class names (none if it has none) and its rows, read piece by piece."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error
        schema = self._file.schema_arrow
        self._image = "img" if "img" in schema.names else "image"
        if not _has_columns(schema, self._image):
            found = ", ".join(f"{column.name}: {column.type}" for column in schema)
            raise DataError(f"{path} has columns {found}: expected img: struct<bytes: binary>, label: int64")
        self.classes = _class_names(path, schema.metadata or {})

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def __iter__(self) -> Iterator[_Item]:
        row = 0
        try:
            for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=[self._image, "label"]):
                contents = pc.struct_field(batch.column(self._image), "bytes").to_pylist()
                for content, label in zip(contents, batch.column("label").to_pylist(), strict=True):
                    yield _Item(f"{self.path} row {row}", content, label)
                    row += 1
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DataError:
        size = self.path.stat().st_size if self.path.exists() else 0
        reason = _first_line(error)
        return DataError(f"{self.path} ({size} bytes) is no readable parquet file: {reason}; fetch it again")


def _has_columns(schema: pa.Schema, image: str) -> bool:
    if not {image, "label"} <= set(schema.names) or not pa.types.is_integer(schema.field("label").type):
        return False
    kind = schema.field(image).type
    at = kind.get_field_index("bytes") if pa.types.is_struct(kind) else -1
    return at >= 0 and kind.field(at).type in (pa.binary(), pa.large_binary())


def _class_names(path: Path, metadata: dict[bytes, bytes]) -> tuple[str, ...]:
    """Names as public data hubs write them into the schema; none where the labels are plain numbers."""
    try:
        label: Any = json.loads(metadata.get(b"huggingface", b"{}"))
        for key in ("info", "features", "label"):
            label = label.get(key, {})
        names = label.get("names") if label.get("_type") == "ClassLabel" else None
        return tuple(str(name) for name in names or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: metadata 'huggingface' holds no class names: {error}; fetch it again") from error


def _read_class_folders(folder: Path, *, resize: bool) -> RawData:
    if not (folder / "test").is_dir():
        raise DataError(f"{folder} has no test part: expected test/<class>/*.png")
    classes = tuple(_visible_folders(folder / "train"))
    if not classes:
        raise DataError(f"{folder / 'train'} has no class folders: expected train/<class>/*.png")
    for name in _visible_folders(folder / "test"):
        if name not in classes:
            known = ", ".join(classes)
            raise DataError(f"{folder / 'test' / name} is a class without training images: expected one of {known}")
    train = [_ClassFolder(folder / "train" / name, label) for label, name in enumerate(classes)]
    test = [_ClassFolder(folder / "test" / name, label) for label, name in enumerate(classes)]
    for piece in train:
        if len(piece) == 0:
            raise DataError(f"{piece.path} has no images: add some ({', '.join(SUFFIXES)}), or remove the folder")
    count = len(classes)
    return RawData(_decode(train, classes=count, resize=resize), _decode(test, classes=count, resize=resize), classes)


def _visible_folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


class _ClassFolder:
    """The image files of one class; none if the folder does not exist."""

    def __init__(self, path: Path, label: int) -> None:
        self.path, self._label = path, label
        found = sorted(path.iterdir(), key=lambda file: file.name) if path.is_dir() else []
        self._files = [file for file in found if not file.name.startswith(".")]
        for file in self._files:
            # Passing over it would train on less than the user believes.
            if file.suffix.lower() not in SUFFIXES:
                raise DataError(f"{file} is no image ({', '.join(SUFFIXES)}): convert it or move it elsewhere")

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[_Item]:
        return (_Item(str(file), file, self._label) for file in self._files)


def _decode(pieces: list[_Shard] | list[_ClassFolder], *, classes: int | None, resize: bool) -> Split:
    """Decodes all images into one array, channels last in memory; one thread, as more were slower on small images.

    Args:
        pieces: Their images, in this order.
        classes: How many there are; None if any label from 0 will do.
        resize: Scale images to 32x32.
    """
    count = sum(len(piece) for piece in pieces)
    if count == 0:
        raise DataError(f"{pieces[0].path} has no images, nor has any file or folder beside it: add some")
    images = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    items = (item for piece in pieces for item in piece)
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for index, item in enumerate(items):
            labels[index] = _label(item, classes)
            images[index] = _pixels(item, resize=resize)
    return Split(torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels))


def _label(item: _Item, classes: int | None) -> int:
    expected = f"0 to {classes - 1}" if classes else "a whole number from 0"
    if item.label is None:
        raise DataError(f"{item.where} has no label: expected {expected}")
    if item.label < 0 or (classes and item.label >= classes):
        raise DataError(f"{item.where} has label {item.label}: expected {expected}, as in the training images")
    return item.label


def _pixels(item: _Item, *, resize: bool) -> np.ndarray:
    """uint8 `[32, 32, 3]`, RGB."""
    if not item.content:
        raise DataError(f"{item.where} has no image bytes: the images must be inside the file, not beside it")
    source = io.BytesIO(item.content) if isinstance(item.content, bytes) else item.content
    try:
        with Image.open(source, formats=FORMATS) as image:
            _check_header(image, item.where, resize=resize)
            # By way of RGBA, as Pillow warns about palettes with transparency otherwise.
            rgb = (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")
    except DataError:
        raise
    except Exception as error:  # Pillow's decoders raise whatever damaged bytes make them run into
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else _first_line(error)
        raise DataError(f"{item.where} is no readable {'/'.join(FORMATS)} image: {reason}; replace it") from error
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(rgb if rgb.size == size else rgb.resize(size, Image.Resampling.BILINEAR))


def _check_header(image: Image.Image, where: str, *, resize: bool) -> None:
    width, height = image.size
    if not resize and (width, height) != (IMAGE_SIZE, IMAGE_SIZE):
        raise DataError(f"{where} is {width}x{height}, not {IMAGE_SIZE}x{IMAGE_SIZE}: --resize true scales all images")
    if image.mode[0] in "IF":  # Pillow would clip, not scale, to 8 bits
        raise DataError(f"{where} has more than 8 bits a pixel (mode {image.mode}): convert it to 8 bits")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
