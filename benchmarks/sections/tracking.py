"""What logging an epoch costs: on a fresh sqlite store, and on an MLflow server of this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import Worker, seconds

START_UP = 120  # seconds that a server may take


def tracking(bench: Bench) -> Section:
    """Seconds an epoch, and their share of an epoch of 45,000 images."""
    section = Section("Logging an epoch", MEASURED)
    stores = {"sqlite": f"sqlite:///{bench.folder / 'log.db'}"}
    with server(bench) as address:
        stores["server"] = address
        with (
            Worker("log_epochs", bench.orders(TEACHER, THREE), environment=_to(stores["sqlite"])) as sqlite,
            Worker("log_epochs", bench.orders(TEACHER, THREE), environment=_to(stores["server"])) as served,
        ):
            workers = {"sqlite": sqlite, "server": served}
            lanes = {
                f"{job.name}, {store}": (worker, job.name)
                for store, worker in workers.items()
                for job in (TEACHER, THREE)
            }
            replies = bench.run({f"logging to {name}": worker for name, worker in workers.items()}, lanes)
    for job in (TEACHER, THREE):
        epoch = bench.to_full * spread(seconds(bench.epochs.replies["kdflow"][job.name])).median
        for store in stores:
            times = seconds(replies[f"{job.name}, {store}"])
            section.add(
                f"{job.name}, {store}", spread([1000 * one for one in times]), form="{:.1f}", unit=" ms an epoch"
            )
            shares = spread([100 * one / epoch for one in times])
            target = Target(2, " %", at_least=False)
            section.add(f"{job.name}, {store}: of a full epoch", shares, form="{:.3f}", unit=" %", target=target)
    return section


@contextmanager
def server(bench: Bench) -> Iterator[str]:
    """An MLflow server on a free port of 127.0.0.1; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    store, artifacts = bench.folder / "server.db", bench.folder / "artifacts"
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += [
        "--workers",
        "1",
        "--backend-store-uri",
        f"sqlite:///{store}",
        "--artifacts-destination",
        str(artifacts),
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (bench.folder / "server.log").open("w") as log:
        # A process group of its own: the server's workers end with it.
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    bench.say(f"starting an MLflow server on port {port}")
    try:
        _wait(running, f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=30)


def _wait(running: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + START_UP
    while running.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise RuntimeError("the MLflow server did not start")


def _to(store: str) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": store}
