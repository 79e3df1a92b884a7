"""Folders of images: the two layouts, and what a user is told when something in them is wrong.

Not covered: folders that may not be read, as tests may run as a user who may read everything.
"""

import io
import json
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from kdflow.config import DataConfig
from kdflow.data import load
from kdflow.data.folder import read_folder
from kdflow.errors import DataError

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
) -> Path:
    cells = [{"bytes": content, "path": f"{row}.png"} for row, content in enumerate(contents)]
    images = pa.array(cells, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    table = pa.table({column: images, "label": pa.array(labels, pa.int64())})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata(metadata(names) if names else None), path, row_group_size=group)
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


@pytest.mark.parametrize("column", ["img", "image"])
def test_a_parquet_folder_holds_the_images_labels_and_names_that_were_written(column: str, tmp_path: Path) -> None:
    raw = read_folder(a_parquet_folder(tmp_path, column=column), resize=False)
    expected = torch.from_numpy(np.stack([pixels(i) for i in range(6)])).permute(0, 3, 1, 2)
    assert torch.equal(raw.train.images, expected)
    assert raw.train.labels.tolist() == [0, 1] * 3
    assert raw.test.labels.tolist() == [1, 0]
    assert raw.classes == NAMES


def test_class_folders_hold_the_images_in_the_order_of_sorted_names(tmp_path: Path) -> None:
    raw = read_folder(a_class_folder(tmp_path), resize=False)
    expected = torch.from_numpy(np.stack([pixels(i) for i in (0, 2, 4, 1, 3, 5)])).permute(0, 3, 1, 2)
    assert torch.equal(raw.train.images, expected)
    assert raw.train.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert raw.classes == NAMES


@pytest.mark.parametrize("make", [a_parquet_folder, a_class_folder])
def test_images_are_channels_last_in_memory(make: Callable[[Path], Path], tmp_path: Path) -> None:
    assert read_folder(make(tmp_path), resize=False).train.images.is_contiguous(memory_format=torch.channels_last)


def test_several_shards_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    a_parquet_folder(tmp_path / "one")
    whole = read_folder(tmp_path / "one", resize=False)
    folder = tmp_path / "two"
    for shard in (1, 0):
        seeds = range(3 * shard, 3 * shard + 3)
        labels = [seed % 2 for seed in seeds]
        a_shard(folder / f"train-0000{shard}-of-00002.parquet", [encoded(pixels(i)) for i in seeds], labels)
    a_shard(folder / "test-00000-of-00001.parquet", [encoded(pixels(i)) for i in (10, 11)], [1, 0])
    assert read_folder(folder, resize=False).digest() == whole.digest()


def test_a_missing_shard_is_told_instead_of_training_on_less(tmp_path: Path) -> None:
    a_parquet_folder(tmp_path)
    (tmp_path / "train-00000-of-00001.parquet").rename(tmp_path / "train-00000-of-00003.parquet")
    assert "1 of 3 train-*.parquet files" in refusal(tmp_path)


def test_labels_without_names_are_called_by_their_numbers(tmp_path: Path) -> None:
    assert read_folder(a_parquet_folder(tmp_path, names=None), resize=False).classes == ("0", "1")


def test_the_folder_itself_names_the_data_set(tmp_path: Path) -> None:
    folder = a_parquet_folder(tmp_path / "pets")
    data = load(DataConfig(dataset=str(folder), val_fraction=0.34))
    assert (data.name, len(data.train), len(data.val), len(data.test)) == ("pets", 3, 3, 2)


GREY = Image.fromarray((np.arange(1024) % 256).astype(np.uint8).reshape(32, 32))
PALETTE = GREY.convert("P")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_every_format_is_read_whatever_the_case_of_its_suffix(kind: str, tmp_path: Path) -> None:
    file = a_class_folder(tmp_path) / "train" / "cat" / f"0.{kind}"
    (tmp_path / "train" / "cat" / "0.png").unlink()
    file.write_bytes(encoded(pixels(0), kind))
    decoded = np.asarray(Image.open(file).convert("RGB"))
    assert np.array_equal(read_folder(tmp_path, resize=False).train.images[0].permute(1, 2, 0), decoded)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(encoded(GREY), GREY.convert("RGB"), id="grey"),
        pytest.param(encoded(GREY.convert("LA")), GREY.convert("RGB"), id="grey with alpha"),
        pytest.param(encoded(PALETTE), GREY.convert("RGB"), id="palette"),
        pytest.param(encoded(PALETTE, transparency=bytes(range(256))), GREY.convert("RGB"), id="palette with alpha"),
        pytest.param(encoded(GREY.convert("1")), GREY.convert("1").convert("RGB"), id="black and white"),
        pytest.param(encoded(Image.fromarray(pixels(3)).convert("RGBA")), Image.fromarray(pixels(3)), id="alpha"),
    ],
)
def test_every_colour_mode_becomes_rgb(content: bytes, expected: Image.Image, tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(content)
    first = read_folder(tmp_path, resize=False).train.images[0].permute(1, 2, 0)
    assert np.array_equal(first, np.asarray(expected))


def test_other_sizes_are_refused_by_name_and_scaled_on_demand(tmp_path: Path) -> None:
    large = Image.fromarray(pixels(3, size=64))
    (a_class_folder(tmp_path) / "train" / "dog" / "1.png").write_bytes(encoded(large))
    message = refusal(tmp_path)
    for part in (str(Path("train", "dog", "1.png")), "64x64", "32x32", "--resize true"):
        assert part in message
    scaled = read_folder(tmp_path, resize=True).train
    assert np.array_equal(scaled.images[4].permute(1, 2, 0), large.resize((32, 32), Image.Resampling.BILINEAR))
    assert np.array_equal(scaled.images[0].permute(1, 2, 0), pixels(0)), "an image of the right size stays as it is"


def test_a_row_of_another_size_is_named(tmp_path: Path) -> None:
    contents = [encoded(pixels(i)) for i in range(4)] + [encoded(pixels(4, size=8))]
    path = a_shard(a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet", contents, [0, 1, 0, 1, 0])
    message = refusal(tmp_path)
    assert f"{path} row 4 is 8x8" in message
    assert "--resize true" in message


def a_png_of(width: int, height: int) -> bytes:
    """A tiny file that says it is a large image."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = b"IDAT" + zlib.compress(b"")
    chunks = [struct.pack(">I", len(part) - 4) + part + struct.pack(">I", zlib.crc32(part)) for part in (header, data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


UNUSABLE = {
    "null": None,
    "empty": b"",
    "text": b"not an image",
    "half a png": encoded(pixels(0))[:1500],
    "half a jpeg": encoded(pixels(0), "JPEG")[:500],
    "a png with a damaged chunk": encoded(pixels(0)).replace(b"IDAT", b"IDAX"),
    "a gif": encoded(GREY, "GIF"),
    "16 bits": encoded(Image.fromarray(np.full((32, 32), 40_000, dtype=np.uint16))),
    "a bomb": a_png_of(30_000, 30_000),
    "a large bomb": a_png_of(2**30, 2**30),
}


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_image_is_one_line_naming_file_and_row(fault: str, tmp_path: Path) -> None:
    contents = [encoded(pixels(i)) for i in range(3)] + [UNUSABLE[fault]]
    path = a_shard(a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet", contents, [0, 1, 0, 1])
    assert f"{path} row 3 " in refusal(tmp_path, resize=True)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("pixels_high", [10_000, 30_000])
def test_a_small_file_that_would_fill_the_memory_is_refused_unread(pixels_high: int, tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(a_png_of(12_000, pixels_high))
    assert "decompression bomb" in refusal(tmp_path, resize=True)


@pytest.mark.parametrize("fault", [name for name, content in UNUSABLE.items() if content])
def test_an_unusable_image_file_is_one_line_naming_the_file(fault: str, tmp_path: Path) -> None:
    file = a_class_folder(tmp_path) / "test" / "dog" / "0.png"
    content = UNUSABLE[fault]
    assert content
    file.write_bytes(content)
    assert str(file) in refusal(tmp_path, resize=True)


def test_whatever_byte_is_damaged_the_image_is_read_or_refused_in_one_line(tmp_path: Path) -> None:
    file = a_class_folder(tmp_path) / "train" / "cat" / "0.png"
    random = np.random.default_rng(0)
    refusals = []
    for kind in ("PNG", "JPEG", "BMP", "WEBP") * 25:
        content = bytearray(encoded(pixels(0), kind))
        content[random.integers(4, 200)] ^= int(random.integers(1, 256))
        file.write_bytes(content)
        try:
            read_folder(tmp_path, resize=True)
        except DataError as error:
            refusals.append(str(error))
    assert 0 < len(refusals) < 100
    assert all(str(file) in message and "\n" not in message for message in refusals)


@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("label", [None, -1, 2])
def test_a_label_that_is_missing_or_out_of_range_names_its_row(part: str, label: int | None, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(i)) for i in range(3)], [0, 1, label])
    message = refusal(tmp_path)
    assert f"{path} row 2 has {'no label' if label is None else f'label {label}'}" in message
    assert "expected 0 to 1" in message


def test_a_test_label_that_training_lacks_is_refused_without_names_too(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path, names=None) / "test-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(0))], [2], names=None)
    assert f"{path} row 0 has label 2: expected 0 to 1" in refusal(tmp_path)


@pytest.mark.parametrize(("names", "missing"), [(("cat", "dog", "eel"), "eel"), (None, "2")])
def test_a_class_without_training_images_is_named(names: tuple[str, ...] | None, missing: str, tmp_path: Path) -> None:
    labels = [0, 1] if names else [0, 1, 10**15]
    a_parquet_folder(tmp_path, names=names)
    contents = [encoded(pixels(i)) for i in range(len(labels))]
    a_shard(tmp_path / "train-00000-of-00001.parquet", contents, labels, names=names)
    assert f"class {missing} has no training images" in refusal(tmp_path)


def test_a_test_part_with_other_class_names_is_refused(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "test-00000-of-00001.parquet"
    a_shard(path, [encoded(pixels(0))], [0], names=("dog", "cat"))
    assert f"{path} calls label 0 'dog'" in refusal(tmp_path)


def test_an_empty_parquet_file_is_one_line_naming_the_file(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    path.write_bytes(b"")
    assert f"{path} (0 bytes) is no readable parquet file" in refusal(tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_parquet_file_is_one_line_naming_the_file(share: float, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    message = refusal(tmp_path)
    assert str(path) in message
    assert "fetch it again" in message


def test_overwritten_pages_of_a_parquet_file_are_one_line_naming_the_file(tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(3000) + content[3004:])
    assert str(path) in refusal(tmp_path)


BYTES = pa.struct({"bytes": pa.binary()})


@pytest.mark.parametrize(
    "schema",
    [
        {"label": pa.int64()},
        {"img": BYTES},
        {"picture": BYTES, "label": pa.int64()},
        {"img": pa.binary(), "label": pa.int64()},
        {"img": pa.struct({"path": pa.string()}), "label": pa.int64()},
        {"img": pa.struct({"bytes": pa.string()}), "label": pa.int64()},
        {"img": BYTES, "label": pa.float64()},
        {"img": BYTES, "label": pa.string()},
    ],
)
def test_wrong_columns_are_told_beside_the_right_ones(schema: dict[str, pa.DataType], tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    pq.write_table(pa.schema(schema).empty_table(), path)
    message = refusal(tmp_path)
    for part in (str(path), *schema, "expected img: struct<bytes: binary>, label: int64"):
        assert part in message


@pytest.mark.parametrize("text", ["{", "[]", '{"info": 3}', '{"info": {"features": {"label": null}}}'])
def test_damaged_class_names_are_one_line_naming_the_file(text: str, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path) / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": text}), path)
    assert str(path) in refusal(tmp_path)


@pytest.mark.parametrize("text", ["{}", '{"info": {"features": {"label": {"_type": "Value", "dtype": "int64"}}}}'])
def test_metadata_without_class_names_is_fine(text: str, tmp_path: Path) -> None:
    path = a_parquet_folder(tmp_path, names=None) / "train-00000-of-00001.parquet"
    pq.write_table(pq.read_table(path).replace_schema_metadata({"huggingface": text}), path)
    assert read_folder(tmp_path, resize=False).classes == ("0", "1")


def remove(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            file.unlink()
    for inner in sorted(folder.rglob("*"), reverse=True):
        inner.rmdir()
    folder.rmdir()


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'gone'}" in refusal(tmp_path / "gone")


def test_an_empty_folder_is_told_both_layouts(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    for part in (str(tmp_path), "train-*.parquet", "test-*.parquet", "train/<class>/*.png", "test/<class>/*.png"):
        assert part in message


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_parquet_folder_without_one_part_is_told_which(part: str, tmp_path: Path) -> None:
    (a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet").unlink()
    assert f"{tmp_path} has no {part} part: expected {part}-*.parquet" in refusal(tmp_path)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_rows_is_named(part: str, tmp_path: Path) -> None:
    path = a_shard(a_parquet_folder(tmp_path) / f"{part}-00000-of-00001.parquet", [], [])
    assert f"{path} has no images" in refusal(tmp_path)


def test_class_folders_without_a_test_part_are_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "test")
    assert f"{tmp_path} has no test part" in refusal(tmp_path)


def test_a_test_part_without_images_is_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "test")
    (tmp_path / "test").mkdir()
    assert "has no images" in refusal(tmp_path)


def test_a_training_part_without_class_folders_is_told(tmp_path: Path) -> None:
    remove(a_class_folder(tmp_path) / "train")
    (tmp_path / "train").mkdir()
    assert "train/<class>/*.png" in refusal(tmp_path)


def test_a_training_folder_without_images_is_named(tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "train" / "eel").mkdir()
    assert f"{tmp_path / 'train' / 'eel'} has no images" in refusal(tmp_path)


def test_a_test_class_that_training_lacks_is_named(tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "test" / "eel").mkdir()
    message = refusal(tmp_path)
    assert str(tmp_path / "test" / "eel") in message
    assert "cat, dog" in message


@pytest.mark.parametrize("stranger", ["notes.txt", "4.gif", "more"])
def test_what_is_no_image_is_named_instead_of_passed_over(stranger: str, tmp_path: Path) -> None:
    path = a_class_folder(tmp_path) / "train" / "dog" / stranger
    path.write_text("") if "." in stranger else path.mkdir()
    assert f"{path} is no image" in refusal(tmp_path)


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    digest = read_folder(a_class_folder(tmp_path), resize=False).digest()
    (tmp_path / "train" / "dog" / ".DS_Store").write_text("")
    (tmp_path / "train" / ".cache").mkdir()
    (tmp_path / "test" / ".cache").mkdir()
    assert read_folder(tmp_path, resize=False).digest() == digest
