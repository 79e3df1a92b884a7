"""What several test files use: a small real data set, a runtime, tiny models, a store, the command line.

torch is imported only when one of them is asked for, so that collecting tests stays quick. Beside this file are:
`commands` and `servers` (real processes), `interruptions` (faults at any moment, in this process), `stories` (what a
run tells of itself in the store), `journals`, `comparisons` (a table made by hand), `hostile` and `unsafe` (what must
not be run), `small_disks`. `experiments/conftest.py` has one store with a finished study for all tests of whole
commands; `faults` kills real processes; `containers` needs podman or docker. Tests that are marked `slow` run in
`make test-all`, those marked `containers` in `make test-containers`; those marked `fault` are counted.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from torch import nn

    from kdflow.data import Dataset
    from kdflow.data.base import Split
    from kdflow.device.runtime import Runtime
    from kdflow.teachers.frozen import Frozen

CLASSES = ("red", "green", "blue", "dark")


@pytest.fixture(scope="session", autouse=True)
def _signals() -> Iterator[None]:
    """What Python sets where nothing else is inherited: who starts tests in the background may have signals ignored.

    What is ignored here would be ignored by every process that a test starts, too.
    """
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGPIPE: signal.SIG_IGN}
    usual |= dict.fromkeys((signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM), signal.SIG_DFL)
    before = {signum: signal.signal(signum, handler) for signum, handler in usual.items()}
    blocked = signal.pthread_sigmask(signal.SIG_UNBLOCK, usual)
    yield
    signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    for signum, handler in before.items():
        signal.signal(signum, handler or signal.SIG_DFL)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests neither find nor leave anything in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def runtime() -> Iterator[Runtime]:
    """CPU, float32, one thread: the setting in which results are promised bit for bit."""
    import torch

    from kdflow.device.runtime import Runtime

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Runtime(seed=0, device=torch.device("cpu"), dtype=torch.float32, threads=1)
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def colours() -> Callable[[int, int], Split]:
    """`colours(count, seed)`: noisy images whose one bright channel, or none, is their class."""
    import torch

    from kdflow.data.base import Split

    def make(count: int, seed: int) -> Split:
        generator = torch.Generator().manual_seed(seed)
        images = torch.randint(0, 160, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
        labels = torch.arange(count) % len(CLASSES)
        for label in range(3):
            images[labels == label, label] += 60
        return Split(images, labels)

    return make


@pytest.fixture(scope="session")
def data(colours: Callable[[int, int], Split]) -> Dataset:
    """Four classes, 64 training, 16 validation and 16 test images."""
    import torch

    from kdflow.data import Dataset
    from kdflow.data.dataset import channel_statistics

    train, val, test = colours(64, 1), colours(16, 2), colours(16, 3)
    mean, std = channel_statistics(train.images)
    index = torch.arange(len(val))
    return Dataset("colours", "colours", train, val, val, index, test, CLASSES, mean, std, True, "d" * 32, "s" * 32)


@pytest.fixture(scope="session")
def tiny() -> Callable[..., nn.Module]:
    """`tiny(seed, dropout=0.0, width=8)`: some 700 parameters, with a convolution and batch normalisation."""
    import torch
    from torch import nn

    def make(seed: int, *, dropout: float = 0.0, width: int = 8) -> nn.Module:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return nn.Sequential(
                nn.AvgPool2d(8),
                nn.Conv2d(3, 4, 3, padding=1),
                nn.BatchNorm2d(4),
                nn.Flatten(),
                nn.Dropout(dropout),
                nn.Linear(64, width),
                nn.ReLU(),
                nn.Linear(width, len(CLASSES)),
            )

    return make


@pytest.fixture
def teacher(tiny: Callable[..., nn.Module]) -> Frozen:
    """Untrained, wider than the student, with dropout."""
    from kdflow.teachers.frozen import Frozen

    return Frozen(tiny(100, dropout=0.5, width=12))


@pytest.fixture(scope="module")
def own_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a store of a file's own, so that what is begun there is in no other test's comparison."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        yield folder


class Said(NamedTuple):
    """How a command ended: its exit code, and what it wrote to stdout and stderr."""

    code: int
    out: str
    error: str

    @property
    def line(self) -> tuple[int, str]:
        """Exit code and error."""
        return self.code, self.error


@pytest.fixture
def kdflow(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """`kdflow("student", "--alpha", "1")`: the command line in this process."""
    from kdflow.cli import main
    from kdflow.common import console

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        with monkeypatch.context() as patch:
            patch.setattr("sys.argv", ["kdflow", *arguments])
            patch.setattr("signal.signal", lambda *_: None)
            with pytest.raises(SystemExit) as ended:
                main.main()
        said = capsys.readouterr()
        return Said(int(ended.value.code or 0), said.out, said.err)

    yield run
    console.hush(on=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many faults the tests marked `fault` injected, and how many of them did no harm."""
    counts = {outcome: sum(map(_faults, terminalreporter.getreports(outcome))) for outcome in ("passed", "failed")}
    if any(counts.values()):
        terminalreporter.write_line(f"faults injected: {sum(counts.values())}, survived: {counts['passed']}")


def _faults(report: pytest.TestReport) -> int:
    if "fault" not in report.keywords or report.when != "call":
        return 0
    return int(dict(report.user_properties).get("faults", 1))
