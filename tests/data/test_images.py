"""Images one by one: every colour mode and format becomes RGB, and what cannot be used is named in one line."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from kdflow.common.errors import DataError
from kdflow.data.folder import read_folder
from kdflow.data.images import Item, decode
from tests.data.image_folders import a_class_folder, a_parquet_folder, a_shard, encoded, pixels, refusal

GREY = Image.fromarray((np.arange(1024) % 256).astype(np.uint8).reshape(32, 32))
PALETTE = GREY.convert("P")
ON_WHITE = Image.composite(GREY, Image.new("L", GREY.size, "white"), GREY)  # each grey is as opaque as it is light
DRAWING = Image.new("L", GREY.size, "white")
DRAWING.paste(0, (4, 4, 9, 28))


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
        pytest.param(
            encoded(PALETTE, transparency=bytes(range(256))), ON_WHITE.convert("RGB"), id="palette with alpha"
        ),
        pytest.param(
            encoded(GREY, transparency=7), GREY.point(lambda g: 255 if g == 7 else g).convert("RGB"), id="key"
        ),
        pytest.param(encoded(GREY.convert("1")), GREY.convert("1").convert("RGB"), id="black and white"),
        pytest.param(encoded(Image.fromarray(pixels(3)).convert("RGBA")), Image.fromarray(pixels(3)), id="alpha"),
    ],
)
def test_every_colour_mode_becomes_rgb(content: bytes, expected: Image.Image, tmp_path: Path) -> None:
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(content)
    first = read_folder(tmp_path, resize=False).train.images[0].permute(1, 2, 0)
    assert np.array_equal(first, np.asarray(expected))


@pytest.mark.parametrize("mode", ["LA", "RGBA", "P"])
@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_black_strokes_on_a_transparent_page_are_not_a_black_square(mode: str, kind: str, tmp_path: Path) -> None:
    page = Image.merge("LA", (Image.new("L", GREY.size, "black"), ImageOps.invert(DRAWING))).convert("RGBA")
    content = encoded(page.quantize(2) if mode == "P" else page.convert(mode), kind, lossless=True)
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(content)
    first = read_folder(tmp_path, resize=False).train.images[0].permute(1, 2, 0)
    assert np.array_equal(first, np.asarray(DRAWING.convert("RGB")))


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


class Endless:
    """More images than any memory holds."""

    path = Path("images", "train")

    def __len__(self) -> int:
        return 2**58

    def __iter__(self) -> Iterator[Item]:
        raise AssertionError("none of them should be read")


def test_more_images_than_the_memory_holds_are_one_line_before_any_is_read() -> None:
    with pytest.raises(DataError, match="images: its 288,230,376,151,711,744 images do not fit into memory"):
        decode([Endless()], classes=2, resize=False)
