"""Image folders in the two layouts, as the tests of this room make them."""

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kdflow.common.errors import DataError
from kdflow.data.folder import read_folder

NAMES = ("cat", "dog")


def pixels(seed: int, size: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


def metadata(names: Iterable[str]) -> dict[str, str]:
    label = {"names": list(names), "_type": "ClassLabel"}
    return {"huggingface": json.dumps({"info": {"features": {"img": {"_type": "Image"}, "label": label}}})}


def a_shard(
    path: Path,
    contents: list[bytes | None],
    labels: list[int | None],
    *,
    names: Iterable[str] | None = NAMES,
    column: str = "img",
    group: int = 2,
    checksums: bool = False,
) -> Path:
    cells = [{"bytes": content, "path": f"{row}.png"} for row, content in enumerate(contents)]
    images = pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = pa.table({column: images, "label": pa.array(labels, pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    table = table.replace_schema_metadata(metadata(names) if names else None)
    pq.write_table(table, path, row_group_size=group, write_page_checksum=checksums)
    return path


def a_parquet_folder(folder: Path, **options: Any) -> Path:
    a_shard(folder / "train-00000-of-00001.parquet", [encoded(pixels(i)) for i in range(6)], [0, 1] * 3, **options)
    a_shard(folder / "test-00000-of-00001.parquet", [encoded(pixels(i)) for i in (10, 11)], [1, 0], **options)
    return folder


def a_class_folder(folder: Path) -> Path:
    for part, count in (("train", 3), ("test", 1)):
        for label, name in enumerate(NAMES):
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                seed = 2 * number + label if part == "train" else 10 + label
                (folder / part / name / f"{number}.png").write_bytes(encoded(pixels(seed)))
    return folder


def refusal(folder: Path, *, resize: bool = False) -> str:
    with pytest.raises(DataError) as failure:
        read_folder(folder, resize=resize)
    assert "\n" not in str(failure.value)
    return str(failure.value)
