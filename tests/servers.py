"""Real servers for tests: on a free port of the loopback address, ended with all that they have started."""

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kdflow.tracking.server import mlflow_server, postgresql

# Without what `make test` hands down, and without the user's own store.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MLFLOW_"))}


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def running(
    command: list[str],
    port: int,
    folder: Path,
    environment: Mapping[str, str],
    *,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[Path]:
    """Starts a server in a folder and waits until it is well; yields the file that takes what it prints."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**ENVIRONMENT, **environment},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 150
        while not is_well(port):
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(0.5)
        yield output
    finally:
        os.killpg(process.pid, end)
        process.wait(timeout=30)


def is_well(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


class Server:
    """An MLflow server on the loopback address, which can be killed and started again over the same store.

    Args:
        folder: For artifacts and what it prints.
        store: The address of the database.
    """

    def __init__(self, folder: Path, store: str) -> None:
        self.folder, self.store, self.port = folder, store, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command, settings = mlflow_server(self.store, self.folder / "artifacts", self.port)
        with (self.folder / "output.txt").open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**ENVIRONMENT, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 150
        while not is_well(self.port):
            assert self._process.poll() is None, (self.folder / "output.txt").read_text()
            assert time.monotonic() < deadline, (self.folder / "output.txt").read_text()
            time.sleep(0.5)

    def ensure(self) -> None:
        if self._process is None:
            self.start()

    def signal(self, number: signal.Signals) -> None:
        assert self._process
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        if self._process:
            self.signal(signal.SIGKILL)
            self._process.wait(30)
            self._process = None


class Database:
    """PostgreSQL, which can be stopped and started again over the same data.

    Args:
        folder: Of the data.
        programs: See `kdflow.tracking.server.postgresql`.
    """

    def __init__(self, folder: Path, programs: Path | None = None) -> None:
        self._folder, self._programs, self._running = folder, programs, ExitStack()
        self.address = ""

    def start(self) -> None:
        self.address = self._running.enter_context(postgresql(self._folder, self._programs))

    def stop(self) -> None:
        self._running.close()


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder that any user may enter, as PostgreSQL's may not be root, and of a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="kdflow-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
