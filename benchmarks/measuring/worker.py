"""Both ends of a worker: a process of its own that trains one epoch of a job whenever it is told to.

A worker is given the sample's file, a device and its jobs. It sets up, runs each job once to warm up, writes one line
of JSON with `ready`, and then answers each line `round JOB` with one line of JSON. While it waits it uses no processor.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BENCHMARKS = Path(__file__).resolve().parent.parent

Reply = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What one round is.

    Attributes:
        name: In the commands and in the tables.
        alphas: A student for each; none: the teacher itself.
        widths: Channels of the teacher's convolutions, if not the usual ones.
        images: Training images; 0 takes all of the sample.
        epochs: A round is a whole training of so many epochs, or, where 0, the next epoch of one training.
        steps: A round ends after so many steps; 0 is never.
        threads: CPU threads; 0 leaves the choice to the program.
        kept: Where each round is a training anew: the teacher's logits of the round before are read.
        exact: In float32 and deterministic.
        scores: The model is not trained but scored on the training images.
    """

    name: str
    alphas: tuple[float, ...] = ()
    widths: tuple[int, ...] = ()
    images: int = 0
    epochs: int = 0
    steps: int = 0
    threads: int = 0
    kept: bool = False
    exact: bool = False
    scores: bool = False


@dataclass(frozen=True)
class Orders:
    """What a worker is started with."""

    sample: Path
    device: str
    jobs: tuple[Job, ...]

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "sample": str(self.sample)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        given = json.loads(text)
        jobs = tuple(Job(**{name: _tuple(value) for name, value in job.items()}) for job in given["jobs"])
        return cls(Path(given["sample"]), given["device"], jobs)


def _tuple(value: object) -> Any:
    return tuple(value) if isinstance(value, list) else value


def serve(make_rounds: Callable[[Orders], Mapping[str, Callable[[], Reply]]]) -> None:
    """The worker's end: answers until its input ends.

    Args:
        make_rounds: Gives for each job the function that runs a round of it; what that gives joins the answer.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to stderr
    rounds = make_rounds(Orders.from_json(sys.argv[1]))
    about: Reply = {}
    for run in rounds.values():
        about |= run()
    print(json.dumps({"ready": True, **about}), file=answers)
    for line in sys.stdin:
        job = line.removeprefix("round ").strip()
        began = time.perf_counter()
        reply = rounds[job]()
        seconds = time.perf_counter() - began
        print(json.dumps({"job": job, "seconds": seconds, "peak_rss_mib": peak_rss_mib(), **reply}), file=answers)


def peak_rss_mib() -> float:
    """The most memory that this process has had. (What `getrusage` says begins with the parent's.)"""
    with contextlib.suppress(FileNotFoundError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return float("nan")


class WorkerFailed(Exception):
    """A worker ended before it answered; the message is the end of what it wrote to stderr."""


class Worker:
    """The other end. The process starts when it is first waited for, so that none sets up while another does.

    Args:
        program: File in `programs/`, without its ending.
        orders: See there.
        python: The environment to run it in.
        environment: More variables.
    """

    def __init__(
        self,
        program: str,
        orders: Orders,
        *,
        python: str = sys.executable,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.program = Path(program).name
        self._command = [python, str(BENCHMARKS / "programs" / f"{program}.py"), orders.to_json()]
        self._environment = worker_environment(environment)
        self._log = (orders.sample.parent / f"{self.program}-{id(self)}.log").open("w+", encoding="utf-8")
        self._process: subprocess.Popen[str] | None = None
        self.about: Reply = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def wait_ready(self) -> Self:
        """Starts the process, once, and waits for the end of its set-up.

        Raises:
            WorkerFailed: there will be none.
        """
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                env=self._environment,
            )
            self.about = self._read()
        return self

    def round(self, job: str) -> Reply:
        """Runs one round of a job.

        Raises:
            WorkerFailed: the worker ended instead.
        """
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(f"round {job}\n")
        self._process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Ends the process: politely, then not."""
        if self._process is None:
            self._log.close()
            return
        assert self._process.stdin
        assert self._process.stdout
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _read(self) -> Reply:
        assert self._process
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:] or [f"exit code {self._process.returncode}"]
            raise WorkerFailed(f"{self.program}: {last[0]}")
        return json.loads(line)


def worker_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's own environment, and the way to these modules and to kdflow."""
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(more or {})}


Lane = tuple[Worker, str]


def interleave(lanes: Mapping[str, Lane], rounds: int, *, say: Callable[[str], None]) -> dict[str, list[Reply]]:
    """Runs all lanes in turn, so that all see the same good and bad minutes; every other round in reversed order."""
    replies: dict[str, list[Reply]] = {name: [] for name in lanes}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name, (worker, job) in _turned(list(lanes.items()), number):
            replies[name].append(worker.round(job))
    return replies


def _turned(lanes: Sequence[tuple[str, Lane]], number: int) -> Iterable[tuple[str, Lane]]:
    return reversed(lanes) if number % 2 else lanes


def seconds(replies: Sequence[Reply], name: str = "seconds") -> list[float]:
    """One figure of each round."""
    return [reply[name] for reply in replies]
