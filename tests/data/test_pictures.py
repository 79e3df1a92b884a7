"""Pictures from anywhere: each as a viewer shows it, scaled as training scales; what cannot be read is refused."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdflow.common.errors import DataError
from kdflow.data.folder import read_folder
from kdflow.data.pictures import picture_files, read_picture
from tests.data.image_folders import a_class_folder, encoded, pixels

RAMP = np.add.outer(np.arange(48) * 4, np.arange(60)).astype(np.uint8)
GREY = Image.fromarray(RAMP)
COLOURS = Image.fromarray(pixels(0, size=40))
SCALED = np.asarray(GREY.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
ORIENTATION = 0x0112


def saved(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


def of_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    return exif


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA"])
def test_what_a_mode_stores_is_what_a_viewer_shows(mode: str, tmp_path: Path) -> None:
    picture = read_picture(saved(tmp_path / "a.png", GREY.convert(mode)))
    assert (picture.size, picture.pixels.dtype) == ((60, 48), np.uint8)
    np.testing.assert_array_equal(picture.pixels, SCALED)


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".gif", "L"), (".tif", "RGB"), (".ppm", "RGB"), (".pgm", "L"), (".tga", "RGB"), (".ico", "RGB"), (".pcx", "RGB")],
)
def test_formats_that_no_training_takes_are_read(suffix: str, mode: str, tmp_path: Path) -> None:
    shown = GREY.convert(mode).resize((48, 48))
    picture = read_picture(saved(tmp_path / f"a{suffix}", shown))
    expected = np.asarray(shown.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(picture.pixels, expected)


def test_cmyk_has_the_colours_that_pillow_shows(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.jpg", COLOURS.convert("CMYK"))
    expected = np.asarray(Image.open(path).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(read_picture(path).pixels, expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".pgm"])
def test_16_bits_are_scaled_and_not_clipped(suffix: str, tmp_path: Path) -> None:
    path = saved(tmp_path / f"a{suffix}", Image.fromarray(RAMP.astype(np.uint16) * 257))
    np.testing.assert_array_equal(read_picture(path).pixels, SCALED)


@pytest.mark.parametrize("number", range(1, 9))
def test_a_picture_stands_as_its_camera_was_held(number: int, tmp_path: Path) -> None:
    from PIL import ImageOps

    path = saved(tmp_path / "a.png", COLOURS.crop((0, 0, 40, 30)), exif=of_orientation(number))
    upright = ImageOps.exif_transpose(Image.open(path))
    picture = read_picture(path)
    assert picture.size == upright.size
    np.testing.assert_array_equal(picture.pixels, np.asarray(upright.resize((32, 32), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_of_an_animation_the_first_frame_is_taken(suffix: str, tmp_path: Path) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("white", "black")]
    path = saved(tmp_path / f"a{suffix}", frames[0], save_all=True, append_images=frames[1:])
    assert read_picture(path).pixels.min() >= 254


def test_it_is_scaled_as_the_images_of_a_training(tmp_path: Path) -> None:
    folder = a_class_folder(tmp_path)
    path = saved(folder / "train" / "cat" / "0.png", GREY)
    trained_on = read_folder(folder, resize=True).train.images[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(read_picture(path).pixels, trained_on)


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_picture(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "unknown format"),
        (b"no image", "unknown format"),
        (encoded(pixels(0))[:200], "is no readable image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unknown format"),
    ],
    ids=["empty", "text", "cut off", "PostScript"],
)
def test_what_is_no_image_is_refused_by_name(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    assert refusal(path).startswith(str(path))
    assert reason in refusal(path)


def test_postscript_is_never_handed_to_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gs = tmp_path / "gs"
    gs.write_text(f"#!/bin/sh\ntouch {tmp_path}/marker\n")
    gs.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    path = saved(tmp_path / "a.eps", COLOURS)
    assert "unknown format" in refusal(path)
    assert not (tmp_path / "marker").exists()


def test_pixels_of_which_nobody_knows_which_are_white_are_refused(tmp_path: Path) -> None:
    assert "floating-point" in refusal(saved(tmp_path / "a.tif", GREY.convert("F")))
    beyond = Image.fromarray(np.full((4, 4), 2**20, np.int32))
    assert "more than 16 bits" in refusal(saved(tmp_path / "b.tif", beyond))


def test_a_picture_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.png", COLOURS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert "decompression bomb" in refusal(path)


def test_a_folder_gives_its_images_in_order_and_counts_what_it_passes_over(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "in/c.gif", "in/deep/d.tif", ".hidden/e.png", ".f.png", "notes.txt", "g.pdf"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    files, others = picture_files(tmp_path)
    assert [str(one.relative_to(tmp_path)) for one in files] == ["a.JPG", "b.png", "in/c.gif", "in/deep/d.tif"]
    assert others == 4


def test_a_file_that_is_named_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / ".upload"
    path.write_bytes(encoded(pixels(0)))
    assert picture_files(path) == ([path], 0)
    np.testing.assert_array_equal(read_picture(path).pixels, pixels(0))


def test_a_place_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no image"):
        picture_files(tmp_path)
    with pytest.raises(DataError, match="there is no file"):
        picture_files(tmp_path / "absent")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="there is no file"):
        picture_files(tmp_path / "pipe")
