"""A folder of images: the parquet layout of public data hubs, or one folder a class.

Class folders: `train/<class>/*.png` and `test/<class>/*.png`; the other layout is `parquet`'s.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kdflow.common.errors import DataError
from kdflow.data.base import RawData
from kdflow.data.images import SUFFIXES, Item, decode
from kdflow.data.names import in_order, listed, spelled_name
from kdflow.data.parquet import read_parquet

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
    nearby = [path for path in (folder.resolve().parent, *_visible_folders(folder)) if _looks_right(path)]
    meant = f"; {nearby[0]} looks like one: is that meant?" if nearby else ""
    raise DataError(f"{folder} holds no data set: expected {LAYOUTS}{meant}")


def _looks_right(folder: Path) -> bool:
    return any(folder.glob("train-*.parquet")) or ((folder / "train").is_dir() and (folder / "test").is_dir())


def _read_class_folders(folder: Path, *, resize: bool) -> RawData:
    if not (folder / "test").is_dir():
        raise DataError(f"{folder} has no test part: expected test/<class>/*.png")
    found, tested = _class_folders(folder / "train"), _class_folders(folder / "test")
    classes = tuple(found)
    _require_classes(folder / "train", found)
    for name in tested:
        if name not in classes:
            known = ", ".join(classes)
            raise DataError(f"{tested[name][0]} is a class without training images: expected one of {known}")
    train = [_ClassImages(found[name], label) for label, name in enumerate(classes)]
    test = [_ClassImages(tested.get(name, [folder / "test" / name]), label) for label, name in enumerate(classes)]
    for piece in train:
        if len(piece) == 0:
            raise DataError(f"{piece.path} has no images: add some ({', '.join(SUFFIXES)}), or remove the folder")
    count = len(classes)
    return RawData(decode(train, classes=count, resize=resize), decode(test, classes=count, resize=resize), classes)


def _class_folders(part: Path) -> dict[str, list[Path]]:
    """Where the images of each class are, in the order of their names: two folders if one name is spelled two ways."""
    found: dict[str, list[Path]] = {}
    for path in _visible_folders(part):
        found.setdefault(spelled_name(path), []).append(path)
    return found


def _visible_folders(folder: Path) -> list[Path]:
    return sorted((one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")), key=in_order)


def _require_classes(part: Path, found: Mapping[str, Sequence[Path]]) -> None:
    """Refuses a part that leaves nothing to tell apart, mostly as its folders are one level off."""
    if not found:
        raise DataError(f"{part} has no class folders: expected train/<class>/*.png")
    if len(found) > 1:
        return
    [(name, [folder, *_])] = found.items()
    if inner := _visible_folders(folder):
        meant = f"if its folders ({listed([one.name for one in inner])}) are the classes, move them up into {part}"
    else:
        meant = "sort its images into one folder for each class"
    raise DataError(
        f"{part} holds one class, {name}, and a single class cannot be told from another: expected two or more "
        f"train/<class>/*.png; {meant}"
    )


class _ClassImages:
    """The image files of one class; none if its folders do not exist."""

    def __init__(self, folders: Sequence[Path], label: int) -> None:
        self.path, self._label = folders[0], label
        found = [file for path in folders if path.is_dir() for file in sorted(path.iterdir(), key=in_order)]
        self._files = [file for file in found if not file.name.startswith(".")]
        for file in self._files:
            # Passing over it would train on less than the user believes.
            if file.suffix.lower() not in SUFFIXES:
                raise DataError(f"{file} is no image ({', '.join(SUFFIXES)}): convert it or move it elsewhere")

    def __len__(self) -> int:
        return len(self._files)

    def __iter__(self) -> Iterator[Item]:
        return (Item(str(file), file, self._label) for file in self._files)
