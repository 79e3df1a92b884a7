"""Jobs as processes of this machine."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from kdflow.common.process import with_this_process
from kdflow.launchers.base import Ended, Job, Launcher, Place, last_words, launchers

PATIENCE = 60.0
"""Seconds that a job has to end after its batch, before it is killed."""


@launchers.register("local")
class Local(Launcher):
    """As many jobs at a time as there are cores, or as is asked for.

    Args:
        place: Of the study.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._most = place.placing.workers or os.cpu_count() or 1
        self._running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}

    @staticmethod
    def require() -> None:
        """See `Launcher`; a machine runs processes."""

    @property
    def room(self) -> int:
        """See `Launcher`."""
        return self._most - len(self._running)

    def start(self, job: Job) -> None:
        """See `Launcher`."""
        self._running[job.name] = job, process_of(job, self._place.log(job), self._place.environment)

    def ended(self) -> list[tuple[Job, Ended]]:
        """See `Launcher`."""
        over = [(job, process.returncode) for job, process in self._running.values() if process.poll() is not None]
        for job, _ in over:
            del self._running[job.name]
        return [(job, Ended(code, last_words(self._place.log(job)))) for job, code in over]

    def stop(self) -> None:
        """See `Launcher`."""
        for _, process in self._running.values():
            process.send_signal(signal.SIGTERM)
        for _, process in self._running.values():
            end(process)

    def close(self) -> None:
        """See `Launcher`; nothing is left."""


def process_of(job: Job, log: Path, environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Starts a job; a terminal's Ctrl-C does not reach it, and it ends with this process.

    Args:
        job: To be started.
        log: Takes what it says, after what earlier attempts said.
        environment: Of the process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "kdflow", *job.arguments],
            env=environment | with_this_process() | {"PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def end(process: "subprocess.Popen[bytes]") -> None:
    """Waits for a process that was asked to end, for as long as a batch may take."""
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()
