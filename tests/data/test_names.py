"""Names of classes: told in valid Unicode wherever they go, and one class under one name, however a machine spells it.

Not covered: file systems that respell names themselves (macOS), and those that take no byte that is not UTF-8.
"""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdflow.config import DataConfig
from kdflow.data import load, short_name
from kdflow.data.folder import read_folder
from kdflow.data.names import listed, spelled, spelled_name
from tests.data.image_folders import NAMES, a_class_folder, a_parquet_folder, encoded, pixels, refusal

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"
LATIN = os.fsdecode(b"caf\xe9")


def named(folder: Path, *, train: str, test: str) -> Path:
    """Class folders of which the first, a cat, goes by another name in each part."""
    a_class_folder(folder)
    for part, name in (("train", train), ("test", test)):
        (folder / part / NAMES[0]).rename(folder / part / name)
    return folder


@given(st.text(st.characters(exclude_categories=())) | st.binary())
def test_every_name_is_spelled_in_one_way_of_valid_unicode(name: str | bytes) -> None:
    once = spelled(name)
    assert once.encode().decode() == once == spelled(once) == spelled(once.encode())
    assert once == unicodedata.normalize("NFC", once)
    assert "\0" not in once


def test_names_that_differ_in_one_byte_stay_different() -> None:
    assert spelled(b"caf\xe9") == r"caf\xe9"
    assert len({spelled(bytes([byte])) for byte in range(256)}) == 256


def test_a_class_folder_that_is_no_utf8_goes_by_its_bytes(tmp_path: Path) -> None:
    data = load(DataConfig(dataset=f"{named(tmp_path, train=LATIN, test=LATIN)}/", val_fraction=0.34))
    assert data.classes == (r"caf\xe9", "dog")
    assert json.dumps(data.classes, ensure_ascii=False).encode()


@pytest.mark.parametrize(("train", "test"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (DECOMPOSED, DECOMPOSED)])
def test_a_class_that_is_spelled_in_two_ways_is_one_class(train: str, test: str, tmp_path: Path) -> None:
    digests = []
    for folder, names in (("one", (COMPOSED, COMPOSED)), ("other", (train, test))):
        raw = read_folder(named(tmp_path / folder, train=names[0], test=names[1]), resize=False)
        assert raw.classes == (COMPOSED, "dog")
        assert raw.test.labels.tolist() == [0, 1]
        digests.append(raw.digest())
    assert digests[0] == digests[1]


def test_two_folders_of_one_name_are_one_class(tmp_path: Path) -> None:
    named(tmp_path, train=COMPOSED, test=COMPOSED)
    (tmp_path / "train" / DECOMPOSED).mkdir()
    (tmp_path / "train" / DECOMPOSED / "7.png").write_bytes(encoded(pixels(7)))
    raw = read_folder(tmp_path, resize=False)
    assert (raw.classes, raw.train.labels.tolist()) == ((COMPOSED, "dog"), [0, 0, 0, 0, 1, 1, 1])


def test_the_order_of_files_does_not_depend_on_how_their_names_are_spelled(tmp_path: Path) -> None:
    digests = set()
    for form in ("NFC", "NFD"):
        folder = a_class_folder(tmp_path / form)
        for number, name in enumerate(("z", "\u00e9", "e", "f")):
            file = folder / "train" / "cat" / f"{unicodedata.normalize(form, name)}.png"
            file.write_bytes(encoded(pixels(number)))
        digests.add(read_folder(folder, resize=False).digest())
    assert len(digests) == 1


@pytest.mark.parametrize("name", ["\ud800", "a\0b", DECOMPOSED, "\n", ""])
def test_any_name_in_the_metadata_of_parquet_files_is_told(name: str, tmp_path: Path) -> None:
    a_parquet_folder(tmp_path, names=(name, "dog"))
    raw = read_folder(tmp_path, resize=False)
    assert raw.classes == (spelled(name), "dog")
    assert raw.digest()


@pytest.mark.parametrize("twice", [("cat", "cat"), (COMPOSED, DECOMPOSED)])
def test_two_labels_of_one_name_are_refused(twice: tuple[str, str], tmp_path: Path) -> None:
    assert "gives two labels one name" in refusal(a_parquet_folder(tmp_path, names=twice))


def test_a_data_set_in_a_folder_that_is_no_utf8_has_a_name_that_can_be_told(tmp_path: Path) -> None:
    folder = tmp_path / LATIN
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    assert short_name(str(tmp_path / "link")) == r"caf\xe9"


@given(st.binary(min_size=1).filter(lambda name: not {0, ord("/")} & set(name) and name not in (b".", b"..")))
def test_a_name_is_spelled_alike_in_a_locale_that_knows_ascii_alone(name: bytes) -> None:
    assert spelled_name(Path(name.decode("ascii", "surrogateescape"))) == spelled_name(Path(os.fsdecode(name)))


@pytest.mark.slow
def test_classes_and_digest_are_the_same_in_every_locale(tmp_path: Path) -> None:
    for class_name in ("\u00e4", "\U0001f600"):
        (tmp_path / "train" / class_name).mkdir(parents=True)
        (tmp_path / "train" / class_name / "1.png").write_bytes(encoded(pixels(1)))
    named(tmp_path, train=LATIN, test=LATIN)
    (tmp_path / "train" / "dog" / LATIN).with_suffix(".png").write_bytes(encoded(pixels(9)))
    code = "import sys; from pathlib import Path; from kdflow.data.folder import read_folder as read; "
    code += "raw = read(Path(sys.argv[1]), resize=False); print(ascii(raw.classes), raw.digest())"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONUTF8"))}
    ascii_only = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    told = {
        subprocess.run(
            [sys.executable, "-c", code, tmp_path], env=plain | locale, capture_output=True, text=True, check=True
        ).stdout
        for locale in (ascii_only, {"PYTHONUTF8": "1"})
    }
    assert len(told) == 1


def test_long_lists_of_names_are_cut_short() -> None:
    assert listed(["a", "b"]) == "a, b"
    assert listed(list("abcdefg")) == "a, b, c, d, e, ... (7 in all)"
