"""A folder of images: the parquet layout of public data hubs, or one folder a class.

Class folders: `train/<class>/*.png` and `test/<class>/*.png`; the other layout is `parquet`'s.
"""

from collections.abc import Iterator
from pathlib import Path

from kdflow.data.base import RawData
from kdflow.data.images import SUFFIXES, Item, decode
from kdflow.data.parquet import read_parquet
from kdflow.errors import DataError

LAYOUTS = "train-*.parquet and test-*.parquet, or train/<class>/*.png and test/<class>/*.png"


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
            return read_parquet(folder, resize=resize)
        if (folder / "train").is_dir():
            return _read_class_folders(folder, resize=resize)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error}") from error
    raise DataError(f"{folder} holds no data set: expected {LAYOUTS}")


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
    return RawData(decode(train, classes=count, resize=resize), decode(test, classes=count, resize=resize), classes)


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

    def __iter__(self) -> Iterator[Item]:
        return (Item(str(file), file, self._label) for file in self._files)
