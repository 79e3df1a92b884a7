"""Both ends of a worker: a process of its own that trains one epoch of a job whenever it is told to.

A worker is given the sample's file, a device and its jobs. It sets up, runs each job once to warm up, writes one line
of JSON with `ready`, and then answers each line that names a job with one line of JSON. While it waits it uses no
processor.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any, Self, TypeVar

BENCHMARKS = Path(__file__).resolve().parent.parent

Reply = dict[str, Any]
Round = Callable[[], Reply]
Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Job:
    """What one round is.

    Attributes:
        name: In the commands and in the tables.
        alphas: A student for each; none: the teacher itself.
        kept: A round is a training anew, of one epoch, that reads the teacher's logits of the round before; otherwise
            it is the next epoch of one training.
        scores: The model is not trained but scored on the training images.
    """

    name: str
    alphas: tuple[float, ...] = ()
    kept: bool = False
    scores: bool = False


@dataclass(frozen=True)
class Orders:
    """What a worker is started with.

    Attributes:
        sample: File of the images.
        device: cpu or cuda.
        jobs: What it will be asked for.
        threads: CPU threads; 0 leaves the choice to the program.
    """

    sample: Path
    device: str
    jobs: tuple[Job, ...]
    threads: int = 0

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "sample": str(self.sample)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        given = json.loads(text)
        jobs = tuple(Job(**{**job, "alphas": tuple(job["alphas"])}) for job in given["jobs"])
        return cls(Path(given["sample"]), given["device"], jobs, given["threads"])


def serve(make_rounds: Callable[[Orders], Mapping[str, Round]]) -> None:
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
    print(json.dumps({"ready": True, "peak_rss_mib": peak_rss_mib(), **about}), file=answers)
    for line in sys.stdin:
        job = line.rstrip("\n")
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
    """The other end. The process starts with the block that it is used in, and ends with it.

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
        self.orders = orders
        self.about: Reply = {}
        self._name = Path(program).name
        self._command = [python, str(BENCHMARKS / "programs" / f"{program}.py"), orders.to_json()]
        self._environment = worker_environment(environment)

    def __enter__(self) -> Self:
        self._log = TemporaryFile("w+", encoding="utf-8")  # closed at the process's end
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=self._environment,
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process: politely, then not."""
        with self._log, self._process:
            with contextlib.suppress(BrokenPipeError):
                _pipe(self._process.stdin).close()
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def wait_ready(self) -> Self:
        """Waits for the end of its set-up.

        Raises:
            WorkerFailed: there will be none.
        """
        self.about = self.about or self._read()
        return self

    def round(self, job: str) -> Reply:
        """Runs one round of a job.

        Raises:
            WorkerFailed: the worker ended instead.
        """
        print(job, file=self._process.stdin, flush=True)
        return self._read()

    def _read(self) -> Reply:
        line = _pipe(self._process.stdout).readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            last = self._log.read().strip().splitlines()[-1:] or [f"exit code {self._process.returncode}"]
            raise WorkerFailed(f"{self._name}: {last[0]}")
        return json.loads(line)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream


def worker_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The user's own environment, and the way to these modules and to kdflow."""
    paths = [str(BENCHMARKS), str(BENCHMARKS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(more or {})}


def interleave(
    lanes: Mapping[Name, tuple[Worker, str]], rounds: int, *, say: Callable[[str], None]
) -> dict[Name, list[Reply]]:
    """Runs all lanes in turn, so that all see the same good and bad minutes; every other round in reversed order."""
    replies: dict[Name, list[Reply]] = {name: [] for name in lanes}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        for name in turn(list(lanes), number):
            worker, job = lanes[name]
            replies[name].append(worker.round(job))
    return replies


def turn(lanes: Sequence[Name], number: int) -> Sequence[Name]:
    """The order of a round."""
    return lanes[::-1] if number % 2 else lanes


def seconds(replies: Sequence[Reply]) -> list[float]:
    """Of each round."""
    return [reply["seconds"] for reply in replies]
