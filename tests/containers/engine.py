"""podman or docker, and the images that the tests need, made here where no registry gives them.

The base image is then Debian's Python 3.11, by debootstrap (which needs root), not the official one; what stands for
PostgreSQL and for the S3 store is said in `stand_ins/Dockerfile`.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
BASE = "python:3.11.15-slim-trixie"
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
# What a build needs to find packages as this machine does, behind a proxy with a certificate of its own.
TRUST = [path for path in ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt") if Path(path).exists()]


@dataclass(frozen=True)
class Engine:
    """An engine that can run containers here.

    Attributes:
        name: podman or docker.
        compose: The command that reads compose files.
    """

    name: str
    compose: tuple[str, ...]

    @classmethod
    def found(cls) -> "Engine":
        """The engine of this machine; without one, the test is skipped."""
        for name in ("podman", "docker"):
            if shutil.which(name) and subprocess.run([name, "info"], capture_output=True).returncode == 0:
                compose = shutil.which("podman-compose", path=PATH) if name == "podman" else f"{name} compose"
                if not compose:
                    pytest.skip("podman-compose is missing: `make test-containers` installs it")
                return cls(name, tuple(compose.split()))
        pytest.skip("neither podman nor docker works here")

    def __call__(self, *arguments: str, timeout: float = 600, **environment: str) -> str:
        """What a command of the engine prints; it must succeed."""
        return run(self.name, *arguments, timeout=timeout, **environment)

    def has(self, image: str) -> bool:
        """Whether the image is here, or can be fetched."""
        return any(
            subprocess.run([self.name, *words, image], capture_output=True, timeout=1200).returncode == 0
            for words in (("image", "inspect"), ("pull", "--quiet"))
        )

    def build(self, folder: Path, image: str, *options: str) -> None:
        """Builds an image on the base image, or on what stands for it."""
        if self.name == "podman":
            base = BASE if self.has(f"docker.io/library/{BASE}") else self._debian()
            options = (f"--from={base}", "--layers", *(f"--volume={path}:{path}:ro" for path in TRUST), *options)
        self("build", "--network=host", f"--tag={image}", *options, str(folder), timeout=1800)

    def _debian(self) -> str:
        image = "kdflow-stand-in-python"
        if self.has(f"localhost/{image}"):
            return image
        if not shutil.which("debootstrap") or os.geteuid():
            pytest.skip(f"{BASE} cannot be fetched, nor made here: that needs debootstrap and root")
        folder = ROOT / "build" / image
        packages = "ca-certificates,python3,python3-venv,python3-pip"
        try:
            run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(folder))
            (folder / "usr/bin/python").symlink_to("python3")
            for mark in folder.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
                mark.unlink()
            with subprocess.Popen(["tar", "-C", folder, "-c", "."], stdout=subprocess.PIPE) as packed:
                subprocess.run([self.name, "import", "-", image], stdin=packed.stdout, check=True, capture_output=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return image


def run(*command: str, timeout: float = 600, **environment: str) -> str:
    """What a command prints; it must succeed."""
    done = finished(*command, timeout=timeout, **environment)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-8000:]}"
    return done.stdout


def finished(*command: str, timeout: float = 600, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended, with all that it printed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MLFLOW_"))}
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, "PATH": PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
    )


@contextmanager
def docker_socket(engine: Engine, folder: Path) -> Iterator[Mapping[str, str]]:
    """The environment in which the docker command line, and MLflow, find the engine."""
    if not shutil.which("docker"):
        pytest.skip("MLflow's docker backend needs the docker command line")
    if engine.name == "docker":
        yield {}
        return
    address = f"unix://{folder}/engine.sock"
    service = subprocess.Popen([engine.name, "system", "service", "--time=0", address])
    try:
        wait_until((folder / "engine.sock").exists, 30)
        yield {"DOCKER_HOST": address}
    finally:
        service.terminate()
        service.wait(timeout=30)


def wait_until(true: Callable[[], bool], seconds: float) -> None:
    """Waits until something is true."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it takes too long"
        time.sleep(0.5)
