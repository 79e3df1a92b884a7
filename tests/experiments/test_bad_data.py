"""Bad images and broken downloads through the whole command: one line, exit code 3, no run and no file left.

What exactly is told of each is tests/data's to say.
"""

import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from kdflow.data.sets import download
from tests.data.image_folders import a_class_folder, a_parquet_folder, a_shard, encoded, pixels
from tests.data.mirror import Hostile, a_mirror, an_archive
from tests.data.server import serving

TRAIN = "train-00000-of-00001.parquet"
COUNT = 20
IMAGES = [encoded(pixels(seed)) for seed in range(COUNT)]
LABELS = [0, 1] * (COUNT // 2)
GREY = Image.fromarray(pixels(0)[:, :, 0])


def with_last(content, label=1):
    """A parquet folder whose last training image and label are these."""

    def make(folder):
        a_parquet_folder(folder)
        a_shard(folder / TRAIN, [*IMAGES[:-1], content], [*LABELS[:-1], label])

    return make


def cut(share):
    def make(folder):
        a_parquet_folder(folder)
        content = (folder / TRAIN).read_bytes()
        (folder / TRAIN).write_bytes(content[: int(share * len(content))])

    return make


def of_columns(**schema):
    def make(folder):
        a_parquet_folder(folder)
        pq.write_table(pa.schema(schema).empty_table(), folder / TRAIN)

    return make


def without(part):
    def make(folder):
        shutil.rmtree(a_class_folder(folder) / part)

    return make


def with_file(name, content):
    def make(folder):
        (a_class_folder(folder) / "train" / "cat" / name).write_bytes(content)

    return make


def with_one_of_a_class(folder):
    a_parquet_folder(folder)
    a_shard(folder / TRAIN, IMAGES, [0] * (COUNT - 1) + [1])


def without_rows(folder):
    a_shard(a_parquet_folder(folder) / TRAIN, [], [])


def one_level_off(folder):
    a_class_folder(folder)
    for part in ("train", "test"):
        shutil.rmtree(folder / part / "dog")
        (folder / part / "cat").rename(folder / part / "images")


FOLDERS = {
    "no files": lambda folder: None,
    "a parquet file cut short": cut(0.99),
    "half a parquet file": cut(0.5),
    "an empty parquet file": cut(0),
    "a parquet file without rows": without_rows,
    "no labels": of_columns(img=pa.struct({"bytes": pa.binary()})),
    "no images": of_columns(label=pa.int64()),
    "labels that are texts": of_columns(img=pa.struct({"bytes": pa.binary()}), label=pa.string()),
    "bytes that are no image": with_last(b"not an image"),
    "half an image": with_last(IMAGES[0][:1500]),
    "no image bytes": with_last(None),
    "16 bits a pixel": with_last(encoded(Image.fromarray(np.full((32, 32), 40_000, dtype=np.uint16)))),
    "another size": with_last(encoded(pixels(0, size=28))),
    "a missing label": with_last(IMAGES[0], None),
    "a label below 0": with_last(IMAGES[0], -1),
    "a label of no class": with_last(IMAGES[0], 2),
    "one image of a class": with_one_of_a_class,
    "too few images a class": a_class_folder,
    "one class": one_level_off,
    "no test images": without("test"),
    "a class without training images": without("train/cat"),
    "an image file that is none": with_file("9.png", b"not an image"),
    "a file that is none of images": with_file("notes.txt", b"hello"),
}


def runs_and_files(store):
    """All runs of the store, whatever their state, and all files of the working directory."""
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    client = MlflowClient()
    experiments = [one.experiment_id for one in client.search_experiments(ViewType.ALL)]
    runs = {run.info.run_id for run in client.search_runs(experiments, run_view_type=ViewType.ALL)}
    return runs, {path for path in store.rglob("*") if path.is_file()}


@pytest.fixture
def refusal(store, kdflow):
    """Runs a command line that ends in one line and exit code 3, and leaves nothing; returns the line."""

    def run(*arguments):
        before = runs_and_files(store)
        code, error = kdflow(*arguments).line
        last = error.rstrip("\n").rpartition("\n")[2]
        assert (code, last.startswith("kdflow: error: ")) == (3, True), error
        assert "Traceback" not in error
        assert runs_and_files(store) == before
        return error

    return run


@pytest.mark.parametrize("fault", FOLDERS)
def test_bad_images_are_one_line_and_leave_nothing(fault, tmp_path, refusal):
    FOLDERS[fault](tmp_path)
    assert refusal("student", "--alpha", "1", "--dataset", f"{tmp_path}/").count("\n") == 1


@pytest.mark.parametrize("command", ["teacher", "student", "study"])
def test_every_command_that_trains_refuses_bad_images_before_it_begins(command, tmp_path, refusal):
    FOLDERS["half an image"](tmp_path)
    assert f"{tmp_path / TRAIN} row {COUNT - 1} is no readable" in refusal(command, "--dataset", f"{tmp_path}/")


def test_a_class_with_too_few_images_is_told_with_what_would_help(tmp_path, refusal):
    FOLDERS["too few images a class"](tmp_path)
    message = refusal("teacher", "--dataset", f"{tmp_path}/")
    assert "class cat has 3 of 6 training images" in message
    assert "set --val-fraction to 0.34" in message


@pytest.fixture
def mirror(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE", 0.01)
    with serving() as server:
        yield a_mirror(server, monkeypatch, tmp_path / "data", "cifar10")


def cifar(mirror):
    return ["teacher", "--dataset", "cifar10", "--data-dir", str(mirror.root)]


@pytest.mark.parametrize("fault", ["broken off", "missing", "mute"])
def test_a_download_that_fails_is_refused_and_the_same_command_goes_on_when_the_server_is_back(fault, mirror, refusal):
    mirror.server.ranges, mirror.server.fault = False, fault
    assert "cannot be downloaded" in refusal(*cifar(mirror))
    mirror.server.fault = ""
    assert "class cat has 3 of 9 training images" in refusal(*cifar(mirror)), "downloaded, but too small to be split"


def test_an_archive_with_a_wrong_checksum_is_refused(mirror, refusal):
    mirror.server.body = an_archive(mirror.kind.base_folder, {"part_1": b"altered"})
    assert "delivers something else (sha256" in refusal(*cifar(mirror))


def test_a_hostile_pickle_under_the_right_name_is_refused_and_not_run(mirror, refusal, tmp_path):
    mirror.load()
    mirror.archive.unlink()
    mirror.server.fault = "missing"
    mirror.unpacked("part_1").write_bytes(pickle.dumps(Hostile(tmp_path / "ran")))
    assert "part_1 is incomplete or altered (md5" in refusal(*cifar(mirror))
    assert not Path(tmp_path / "ran").exists()


@pytest.mark.slow
def test_grey_palette_and_alpha_images_are_trained_on(tmp_path, store, kdflow):
    images = [GREY, GREY.convert("LA"), GREY.convert("P"), GREY.convert("RGBA"), GREY.convert("1")]
    contents = [encoded(images[index % 5]) for index in range(COUNT)]
    a_shard(a_parquet_folder(tmp_path) / TRAIN, contents, LABELS)
    options = ["--alpha", "1", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    assert kdflow("student", "--dataset", f"{tmp_path}/", *options).line == (0, "")


def test_class_names_that_are_no_utf8_are_trained_on_and_told(tmp_path, store, kdflow):
    from mlflow import pyfunc

    names = [os.fsdecode(b"caf\xe9"), "the\u0301"]
    for part in ("train", "test"):
        for label, name in enumerate(names):
            (tmp_path / "images" / part / name).mkdir(parents=True)
            for number in range(COUNT // 2):
                (tmp_path / "images" / part / name / f"{number}.png").write_bytes(IMAGES[2 * number + label])
    options = ["--alpha", "1", "--epochs", "1", "--threads", "1", "--device", "cpu"]
    told = kdflow("student", "--dataset", f"{tmp_path}/images/", *options)
    assert told.code == 0, told.error
    address = re.search(r"registered as (models:/\S+)", told.out)[1]
    assert pyfunc.load_model(address, model_config={"device": "cpu"}).metadata.metadata["classes"] == [
        r"caf\xe9",
        "th\u00e9",
    ]
