"""Files that run a program when they are unpickled: it makes a folder, the marker, and does nothing else."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


def in_a_zip(path: Path, hostile: Hostile) -> None:
    """An archive as torch makes them, which is taken for a table of tensors."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"weight": hostile}, protocol=2))
        archive.writestr("archive/byteorder", "little")
        archive.writestr("archive/version", "3\n")


def in_a_pt2(path: Path, hostile: Hostile) -> None:
    """Puts it in place of the example inputs of an exported program."""
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (inputs,) = [name for name in contents if "/sample_inputs/" in name and name.endswith(".pt")]
    part = path.with_suffix(".part")
    in_a_zip(part, hostile)
    contents[inputs] = part.read_bytes()
    part.unlink()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
