"""Processes that download CIFAR into one folder at the same time, or are killed over it."""

import io
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from kdflow.common.files import PART
from kdflow.data.sets import download
from tests.data.mirror import Mirror, sha256


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(2400):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("two minutes were not enough")


def test_two_threads_that_begin_together_make_one_download(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(sys, "stderr", told)
    monkeypatch.setattr(download, "PATIENCE", 60)
    mirror.server.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(mirror.load) for _ in range(2)]
        wait_until(lambda: "waiting for it" in told.getvalue())
        mirror.server.gate.set()
        assert both[0].result().digest() == both[1].result().digest()
    assert mirror.server.asked == [""]


PROCESS = """
import json, sys, torchvision.datasets as datasets
from kdflow.config import DataConfig
from kdflow.data import cifar
from kdflow.data.base import sources
patch, archive, root = json.loads(sys.argv[1]), *sys.argv[2:]
for name, value in patch.items():
    setattr(datasets.CIFAR10, name, value)
cifar.SHA256[datasets.CIFAR10.filename] = archive
print(sources["cifar10"](DataConfig(dataset="cifar10", data_dir=root)).digest())
"""


def start(mirror: Mirror, output: IO[str]) -> subprocess.Popen[str]:
    patch = {name: getattr(mirror.kind, name) for name in ("url", "train_list", "test_list", "meta")}
    arguments = [json.dumps(patch), sha256(mirror.server.body), str(mirror.root)]
    here = Path(__file__).parents[3]
    return subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stdout=output, stderr=output, cwd=here)


@pytest.mark.slow
def test_of_two_processes_that_begin_together_one_downloads_and_both_have_the_data(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.server.gate.clear()
    told = tmp_path / "told"
    with told.open("w") as output:
        both = [start(mirror, output) for _ in range(2)]
        wait_until(lambda: "waiting for it" in told.read_text())
        mirror.server.gate.set()
        assert [process.wait(120) for process in both] == [0, 0], told.read_text()
    assert mirror.server.asked == [""]
    assert told.read_text().count(mirror.load().digest()) == 2


@pytest.mark.slow
def test_a_process_killed_while_it_downloads_leaves_nothing_that_is_taken_for_complete(
    mirror: Mirror, tmp_path: Path
) -> None:
    mirror.server.gate.clear()
    with (tmp_path / "told").open("w") as output:
        process = start(mirror, output)
        wait_until(lambda: bool(mirror.server.asked))
        process.kill()
        process.wait()
    assert not mirror.archive.exists()
    assert any(PART in name for name in mirror.left()), "it was killed before it had begun"
    mirror.server.gate.set()
    assert len(mirror.load().train) == 9
    assert mirror.left() == sorted([f".{mirror.kind.filename}.lock", mirror.kind.filename, mirror.kind.base_folder])
