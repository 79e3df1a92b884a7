"""kdflow as a user runs it: real processes in a folder of their own, with a store of their own."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT = 600


class Workplace:
    """A folder in which kdflow is run.

    Args:
        folder: Exists.
        empty_store: A sqlite store whose tables are made, which takes seconds.
    """

    def __init__(self, folder: Path, empty_store: Path) -> None:
        shutil.copy(empty_store, folder / "mlflow.db")
        self.folder = folder
        self.store = f"sqlite:///{folder / 'mlflow.db'}"
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment = os.environ | {"MLFLOW_TRACKING_URI": self.store, "PYTHONPATH": str(ROOT), "PATH": path}
        self._started: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command; its output can be read while it runs."""
        command = [sys.executable, "-m", "kdflow", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen(command, cwd=self.folder, env=self._environment, text=True, **pipes)
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return self.type(shlex.join([sys.executable, "-m", "kdflow", *arguments]))

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Runs what a user types."""
        return subprocess.run(
            line, shell=True, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=LIMIT
        )

    def end(self) -> None:
        """Ends what still runs."""
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture(scope="package")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sqlite store in which nothing is."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("empty") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_store: Path) -> Iterator[Workplace]:
    """A fresh one."""
    place = Workplace(tmp_path, empty_store)
    yield place
    place.end()


@pytest.fixture(scope="module")
def another_workplace(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Callable[[], Workplace]]:
    """Makes more of them, for what several tests look at."""
    places = []

    def make() -> Workplace:
        places.append(Workplace(tmp_path_factory.mktemp("workplace"), empty_store))
        return places[-1]

    yield make
    for place in places:
        place.end()
