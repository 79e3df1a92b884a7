"""Tests set the signals that they need: how they were started does not matter."""

import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = [
    "tests/common/test_files.py",
    "tests/common/test_signals.py",
    "tests/journal/test_journal.py",
    "-k",
    "signal or interrupt",
]


def ignore_and_block() -> None:
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(signum, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM])


def test_tests_that_are_started_with_signals_ignored_and_blocked_pass():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FILES, "-k", "signal or interrupt"]
    start = {"preexec_fn": ignore_and_block, "capture_output": True, "text": True, "timeout": 120}
    done = subprocess.run(command, cwd=ROOT, check=False, **start)
    assert done.returncode == 0, done.stdout
    assert "passed" in done.stdout
