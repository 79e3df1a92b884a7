"""The parquet layout of public data hubs.

`train-*.parquet` and `test-*.parquet`, columns `img` (or `image`): struct with `bytes`, and `label`: whole numbers;
class names in the schema metadata.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kdflow.common.errors import DataError
from kdflow.data.base import RawData
from kdflow.data.images import Item, decode, first_line
from kdflow.data.names import listed, spelled

ROWS_AT_ONCE = 1024
UNREADABLE = (pa.ArrowException, OSError, ValueError)
"""What reading a damaged file raises; a ValueError where a name in it is no UTF-8."""


def read_parquet(folder: Path, *, resize: bool) -> RawData:
    """Reads the training and test images of a folder of parquet files.

    A damaged file is refused where its pages carry checksums; without them only what cannot be decoded is noticed.

    Args:
        folder: Where they are.
        resize: Scale every image to 32x32.

    Raises:
        DataError: files are missing, or a file, image or label in them cannot be used.
    """
    shards = {part: [_Shard(path) for path in _shard_paths(folder, part)] for part in ("train", "test")}
    named = next((shard for shard in shards["train"] if shard.classes), shards["train"][0])
    classes = named.classes
    for shard in (*shards["train"], *shards["test"]):
        if shard.classes and shard.classes != classes:
            pairs = enumerate(zip_longest(shard.classes, classes))
            label, (found, expected) = next((label, pair) for label, pair in pairs if pair[0] != pair[1])
            raise DataError(f"{shard.path} calls label {label} {found!r}, but {named.path} calls it {expected!r}")
    _require_classes(folder, shards["train"], classes)
    train = decode(shards["train"], classes=len(classes) or None, resize=resize)
    count = len(classes) or int(train.labels.max()) + 1
    present = train.labels.unique().tolist()
    if len(present) < count:
        missing = next(label for label in range(count) if label >= len(present) or present[label] != label)
        name = classes[missing] if classes else missing
        raise DataError(f"{folder}: class {name} has no training images: add some, or leave the class out")
    test = decode(shards["test"], classes=count, resize=resize)
    return RawData(train, test, classes or tuple(str(label) for label in range(count)))


def _require_classes(folder: Path, shards: "Sequence[_Shard]", classes: tuple[str, ...]) -> None:
    """Refuses labels that leave nothing to tell apart, before any image is decoded."""
    labels = {label for shard in shards for label in shard.labels()}
    label = labels.pop() if len(labels) == 1 else None
    if label is None or not 0 <= label < (len(classes) or 2**63):  # what is no label is named where it is read
        return
    name = f" ({classes[label]})" if classes else ""
    raise DataError(
        f"{folder}: all training images have label {label}{name}, and a single class cannot be told from another: "
        f"expected two or more classes in column label; the columns are {listed(shards[0].columns)}"
    )


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
            schema = self._file.schema_arrow
            found = ", ".join(f"{column.name}: {column.type}" for column in schema)
            self._rows = _rows(self._file.metadata)
        except UNREADABLE as error:
            raise self._unreadable(error) from error
        self._image = "img" if "img" in schema.names else "image"
        if not _has_columns(schema, self._image):
            raise DataError(f"{path} has columns {found}: expected img: struct<bytes: binary>, label: int64")
        self.columns: list[str] = schema.names
        self.classes = _class_names(path, schema.metadata or {})

    def __len__(self) -> int:
        return self._rows

    def __iter__(self) -> Iterator[Item]:
        row = 0
        try:
            for batch in self._file.iter_batches(ROWS_AT_ONCE, columns=[self._image, "label"]):
                contents = pc.struct_field(batch.column(self._image), "bytes").to_pylist()
                for content, label in zip(contents, batch.column("label").to_pylist(), strict=True):
                    yield Item(f"{self.path} row {row}", content, label)
                    row += 1
        except UNREADABLE as error:
            raise self._unreadable(error) from error

    def labels(self) -> set[int | None]:
        """Those that occur, without a look at the images."""
        try:
            batches = self._file.iter_batches(columns=["label"])
            return {label for batch in batches for label in pc.unique(batch.column("label")).to_pylist()}
        except UNREADABLE as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> DataError:
        size = self.path.stat().st_size if self.path.exists() else 0
        reason = first_line(error)
        return DataError(f"{self.path} ({size} bytes) is no readable parquet file: {reason}; fetch it again")


def _rows(metadata: pq.FileMetaData) -> int:
    count = int(metadata.num_rows)
    if count < 0 or count != sum(metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)):
        raise ValueError(f"its {count} rows are not those of its row groups")
    return count


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
        classes = tuple(spelled(str(name)) for name in names or ())
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: metadata 'huggingface' holds no class names: {error}; fetch it again") from error
    if twice := sorted({name for name in classes if classes.count(name) > 1}):
        raise DataError(f"{path} gives two labels one name, {twice[0]!r}: give each class a name of its own")
    return classes
