"""kdflow as a user starts it: a process of its own, whose lines can be waited for while it runs."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.servers import ENVIRONMENT

# The student's network teaches here: it is quick.
COMPUTING = ("--dataset", "digits", "--threads", "1", "--precision", "fp32", "--device", "cpu", "--reuse", "false")
TEACHER = ("teacher", *COMPUTING, "--model", "small-cnn")
STUDENT = ("student", *COMPUTING)
STUDY = ("study", *COMPUTING, "--teacher-model", "small-cnn")
PATIENCE = 240.0
EPOCH = re.compile(r"epoch (\d+)/\d+ ")


@dataclass
class Command:
    """A started command.

    Attributes:
        process: Of the system.
        lines: What it has said so far, each with the second at which it came.
    """

    process: subprocess.Popen[str]
    lines: list[tuple[float, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = threading.Thread(target=self._listen, daemon=True)

    @classmethod
    def start(cls, *arguments: str, folder: Path, store: str, **environment: str) -> "Command":
        process = subprocess.Popen(
            [sys.executable, "-m", "kdflow", *arguments],
            cwd=folder,
            env={**ENVIRONMENT, "MLFLOW_TRACKING_URI": store, "PYTHONUNBUFFERED": "1", **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        command = cls(process)
        command._listener.start()
        return command

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def wait_for(self, words: str) -> None:
        """Waits until a line says this."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.02)

    def end(self) -> int:
        """Waits for its end and gives the exit code."""
        try:
            code = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"not ended: {self.text}") from None
        self._listener.join(10)
        return code

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def longest_epoch(self) -> float:
        """Seconds between two epochs, at the most."""
        told = [(when, int(found[1])) for when, line in self.lines if (found := EPOCH.match(line))]
        return max((b - a for (a, one), (b, other) in pairwise(told) if other == one + 1), default=0)

    def _listen(self) -> None:
        assert self.process.stdout
        with self.process.stdout as said:
            for line in said:
                self.lines.append((time.monotonic(), line.rstrip("\n")))


def run(*arguments: str, folder: Path, store: str, **environment: str) -> tuple[int, str]:
    """Runs a command to its end; gives its exit code and what it said."""
    command = Command.start(*arguments, folder=folder, store=store, **environment)
    return command.end(), command.text
