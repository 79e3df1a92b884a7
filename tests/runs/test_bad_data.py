"""Bad images through the whole command: one line, exit code 3, and no run at all."""

import signal
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kdflow import cli
from tests.runs.test_teacher import students_in_store


def png(value):
    from io import BytesIO

    from PIL import Image

    file = BytesIO()
    Image.fromarray(np.full((32, 32, 3), value, np.uint8)).save(file, "png")
    return file.getvalue()


def write(folder, labels):
    for part in ("train", "test"):
        table = pa.table(
            {"img": [{"bytes": png(3 * index), "path": None} for index in range(len(labels))], "label": labels}
        )
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")


def truncated(folder):
    write(folder, [0, 1] * 20)
    file = folder / "train-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:-100])


def empty(folder):
    pass


def label_below_zero(folder):
    write(folder, [0, 1] * 19 + [0, -1])


def missing_label(folder):
    write(folder, [0, 1] * 19 + [0, None])


@pytest.mark.parametrize("spoil", [truncated, empty, label_below_zero, missing_label])
def test_bad_images_are_one_line_and_leave_no_run(spoil, tmp_path, store, monkeypatch, capsys):
    spoil(tmp_path)
    before = students_in_store()
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["kdflow", "student", "--alpha", "1", "--dataset", f"{tmp_path}/"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    error = capsys.readouterr().err
    assert (stopped.value.code, error.count("\n")) == (3, 1), error
    assert students_in_store() == before
