"""Images whose EXIF says how the camera was held: they are read as every viewer shows them.

Not covered: an orientation that is given in XMP alone, which Pillow reads and browsers do not.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from kdflow.data.decoded import read_decoded
from kdflow.data.folder import read_folder
from tests.data.image_folders import a_class_folder, a_parquet_folder, a_shard, encoded, pixels, refusal

UPRIGHT = Image.fromarray(np.kron(np.arange(6, dtype=np.uint8).reshape(2, 3) * 40, np.ones((16, 16), np.uint8))[:, :32])
"""Four areas of one grey each, unlike each other: no turn or mirror image of it is itself."""
STORED: dict[int, Callable[[Image.Image], Image.Image]] = {
    1: lambda upright: upright,
    2: ImageOps.mirror,
    3: lambda upright: upright.rotate(180),
    4: ImageOps.flip,
    5: lambda upright: ImageOps.mirror(upright.rotate(-90, expand=True)),
    6: lambda upright: upright.rotate(90, expand=True),
    7: lambda upright: ImageOps.mirror(upright.rotate(90, expand=True)),
    8: lambda upright: upright.rotate(-90, expand=True),
}
"""How the camera lays down an upright picture, by the orientation that it writes."""


def exif(orientation: object) -> Image.Exif:
    block = Image.Exif()
    block[ExifTags.Base.Make] = "a camera"
    block[ExifTags.Base.Orientation] = orientation
    return block


def photo(orientation: int, kind: str = "PNG", upright: Image.Image = UPRIGHT) -> bytes:
    options = {"PNG": {}, "JPEG": {"quality": 95}, "WEBP": {"lossless": True}}[kind]
    return encoded(STORED[orientation](upright.convert("RGB")), kind, exif=exif(orientation), **options)


def first(folder: Path, *, resize: bool = False) -> np.ndarray:
    return read_folder(folder, resize=resize).train.images[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", STORED)
def test_every_orientation_is_read_upright(orientation: int, kind: str, tmp_path: Path) -> None:
    (a_class_folder(tmp_path / "folders") / "train" / "cat" / "0.png").write_bytes(photo(orientation, kind))
    a_parquet_folder(tmp_path / "parquet")
    contents = [photo(orientation, kind), encoded(pixels(1))]
    a_shard(tmp_path / "parquet" / "train-00000-of-00001.parquet", contents, [0, 1])
    for layout in ("folders", "parquet"):
        np.testing.assert_allclose(first(tmp_path / layout), np.asarray(UPRIGHT.convert("RGB")), atol=6)


@pytest.mark.parametrize("orientation", [1, 6])
def test_width_and_height_are_those_of_the_upright_image(orientation: int, tmp_path: Path) -> None:
    wide = UPRIGHT.resize((64, 16))
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(photo(orientation, upright=wide))
    assert "is 64x16, not 32x32" in refusal(tmp_path)
    scaled = wide.resize((32, 32), Image.Resampling.BILINEAR).convert("RGB")
    assert np.array_equal(first(tmp_path, resize=True), scaled)


def test_palette_and_transparency_are_turned_too(tmp_path: Path) -> None:
    stored = encoded(STORED[6](UPRIGHT).convert("P"), exif=exif(6), transparency=bytes([255] * 256))
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(stored)
    assert np.array_equal(first(tmp_path), np.asarray(UPRIGHT.convert("RGB")))


@pytest.mark.parametrize("value", [0, 9, 6000])
def test_an_orientation_that_is_none_turns_nothing(value: int, tmp_path: Path) -> None:
    content = encoded(UPRIGHT, exif=exif(value))
    (a_class_folder(tmp_path) / "train" / "cat" / "0.png").write_bytes(content)
    assert np.array_equal(first(tmp_path), np.asarray(UPRIGHT.convert("RGB")))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_an_image_with_damaged_exif_is_read_all_the_same_without_a_word(kind: str, tmp_path: Path) -> None:
    file = a_class_folder(tmp_path) / "train" / "cat" / "0.png"
    whole, random = exif(6).tobytes(), np.random.default_rng(0)
    for length in range(1, len(whole), 3):
        damaged = bytearray(whole[: length + 1])
        damaged[random.integers(len(damaged))] ^= int(random.integers(1, 256))
        file.write_bytes(encoded(UPRIGHT, kind, exif=bytes(damaged)))
        assert first(tmp_path).shape == (32, 32, 3)


def test_what_was_decoded_by_other_rules_is_not_taken_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = a_class_folder(tmp_path / "images")
    (folder / "train" / "cat" / "0.png").write_bytes(photo(6))
    with monkeypatch.context() as before:
        before.setattr("kdflow.data.images._TURNS", {})
        before.setattr("kdflow.data.decoded.DECODING", 1)
        turned = read_decoded(folder, resize=False)
    upright = read_decoded(folder, resize=False)
    assert upright.digest() != turned.digest()
    assert upright.digest() == read_folder(folder, resize=False).digest()
