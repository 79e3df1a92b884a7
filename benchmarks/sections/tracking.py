"""What logging an epoch costs: on a fresh sqlite store, and on an MLflow server of this machine."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import Orders, Worker, seconds

START_UP = 120  # seconds that a server may take


def tracking(bench: Bench) -> Section:
    """Milliseconds an epoch, and their share of an epoch of 45,000 images."""
    section = Section("Logging an epoch", MEASURED)
    orders = Orders(bench.sample, bench.device, (TEACHER, THREE))
    with server(bench) as address:
        stores = {"sqlite": f"sqlite:///{bench.folder / 'log.db'}", "server": address}
        found = bench.measure(
            {
                store: Worker("log_epochs", orders, environment={"MLFLOW_TRACKING_URI": uri})
                for store, uri in stores.items()
            }
        )
    for job in (TEACHER, THREE):
        epoch = bench.to_full * spread(seconds(bench.epochs["kdflow"][job.name])).median
        for store in stores:
            times, name = seconds(found[store][job.name]), f"{job.name}, {store}"
            section.add(name, spread([1000 * one for one in times]), form="{:.1f}", unit=" ms an epoch")
            shares = spread([100 * one / epoch for one in times])
            target = Target(2, " %", at_least=False)
            section.add(f"{name}: of a full epoch", shares, form="{:.3f}", unit=" %", target=target)
    return section


@contextmanager
def server(bench: Bench) -> Iterator[str]:
    """An MLflow server on a free port of 127.0.0.1; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{bench.folder / 'server.db'}"]
    command += ["--artifacts-destination", str(bench.folder / "artifacts")]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    bench.say(f"starting an MLflow server on port {port}")
    with (bench.folder / "server.log").open("w") as log:
        # A process group of its own: the server's workers end with it.
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait(running, address)
        yield address
    finally:
        os.killpg(running.pid, signal.SIGTERM)
        running.wait(timeout=30)


def _wait(running: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + START_UP
    while running.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    raise RuntimeError("the MLflow server did not start")
