"""What all sections of a benchmark share: the sample, the options, and the epochs that several tables are made of."""

import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from measuring.worker import Job, Lane, Orders, Reply, Worker, WorkerFailed, interleave

FULL = {"train": 45_000, "val": 5_000, "test": 10_000}  # images of the whole CIFAR-10
TEACHER_EPOCHS, STUDENT_EPOCHS = 20, 10

TEACHER = Job("teacher")
LARGE_TEACHER = Job("teacher 64-192-384-256-256", widths=(64, 192, 384, 256, 256))
LABELS = Job("student, alpha = 1", alphas=(1.0,))
DISTILLED = Job("student, alpha = 0.5", alphas=(0.5,))
TAUGHT = Job("student, alpha = 0", alphas=(0.0,))
THREE = Job("three students", alphas=(1.0, 0.0, 0.5))
ONE_BY_ONE = (LABELS, TAUGHT, DISTILLED)
# A teacher's logits are kept: one more student, later, reads them.
LATER = Job("student, alpha = 0.5, logits kept", alphas=(0.5,), epochs=1, kept=True)


def cohort(students: int) -> Job:
    """So many students in one pass, alphas by turns; the first is distilled, so that all sizes have a teacher."""
    known = {1: DISTILLED, 3: THREE}
    alphas = tuple((0.5, 1.0, 0.0)[number % 3] for number in range(students))
    return known.get(students, Job(f"{students} students", alphas=alphas))


@dataclass(frozen=True)
class Bench:
    """One run of the benchmark.

    Attributes:
        folder: Private and temporary.
        sample: File of the images that an epoch sees.
        whole: File of the whole data set.
        dataset: What the user called it.
        data_dir: Where downloads are kept.
        train: Training images of the sample.
        load_seconds: What reading the data set took.
        device: cpu or cuda.
        rounds: Of each interleaved measurement.
        tutorial_threads: Of the tutorial and torchdistill; 0 leaves the choice to torch.
        quick: Whether less will do.
        torchdistill: Python of its environment, or why it is left out.
        say: Shows how far it is.
    """

    folder: Path
    sample: Path
    whole: Path
    dataset: str
    data_dir: str
    train: int
    load_seconds: float
    device: str
    rounds: int
    tutorial_threads: int
    quick: bool
    torchdistill: Path | str
    say: Callable[[str], None]

    @property
    def cohorts(self) -> tuple[int, ...]:
        return (1, 3, 6) if self.quick else (1, 2, 3, 6, 12)

    def orders(self, *jobs: Job, sample: Path | None = None) -> Orders:
        return Orders(sample or self.sample, self.device, jobs)

    def run(self, workers: Mapping[str, Worker], lanes: Mapping[str, Lane]) -> dict[str, list[Reply]]:
        """All lanes in turn, as often as there are rounds, once all workers are ready."""
        for name, worker in workers.items():
            self.say(f"starting {name}")
            worker.wait_ready()
        return interleave(lanes, self.rounds, say=self.say)

    @cached_property
    def epochs(self) -> "Epochs":
        """An epoch of every job by every program, interleaved."""
        return _measure_epochs(self)

    @cached_property
    def to_full(self) -> float:
        """How many epochs of the sample an epoch of the whole CIFAR-10 is."""
        return FULL["train"] / self.train


@dataclass(frozen=True)
class Epochs:
    """What `Bench.epochs` found.

    Attributes:
        replies: By program, then job; programs that failed are not in it.
        failures: Why, by program.
        runtime: What kdflow computed on, such as "cpu, bf16, 2 threads".
        threads: Of each program.
    """

    replies: dict[str, dict[str, list[Reply]]]
    failures: dict[str, str]
    runtime: str
    threads: dict[str, int]


def programs(bench: Bench) -> dict[str, tuple[str, tuple[Job, ...]]]:
    """Each program's file and jobs."""
    large = (LARGE_TEACHER,) if bench.device == "cuda" else ()
    cohorts = tuple(cohort(students) for students in bench.cohorts if students not in (1, 3))

    def theirs(*jobs: Job) -> tuple[Job, ...]:
        return tuple(replace(job, threads=bench.tutorial_threads) for job in jobs)

    return {
        "tutorial": ("tutorial", theirs(TEACHER, *large, *ONE_BY_ONE)),
        "torchdistill": ("boxes", theirs(TEACHER, DISTILLED)),
        "kdflow": ("engine", (TEACHER, *large, LABELS, DISTILLED, LATER, THREE, *cohorts)),
    }


def _measure_epochs(bench: Bench) -> Epochs:
    failures = {"torchdistill": bench.torchdistill} if isinstance(bench.torchdistill, str) else {}
    workers: dict[str, Worker] = {}
    with ExitStack() as started:
        for name, (program, jobs) in programs(bench).items():
            if name in failures:
                continue
            python = str(bench.torchdistill) if name == "torchdistill" else sys.executable
            workers[name] = started.enter_context(Worker(program, bench.orders(*jobs), python=python))
            bench.say(f"starting {name}")
            try:
                workers[name].wait_ready()
            except WorkerFailed as failure:
                if name != "torchdistill":  # all else is ours
                    raise
                failures[name] = str(failure)
                del workers[name]
        lanes = {
            f"{name}/{job.name}": (worker, job.name)
            for name, worker in workers.items()
            for job in programs(bench)[name][1]
        }
        flat = interleave(lanes, bench.rounds, say=bench.say)
    replies: dict[str, dict[str, list[Reply]]] = {name: {} for name in workers}
    for lane, answers in flat.items():
        name, _, job = lane.partition("/")
        replies[name][job] = answers
    replies["tutorial"][THREE.name] = _one_after_another([replies["tutorial"][job.name] for job in ONE_BY_ONE])
    threads = {name: worker.about["threads"] for name, worker in workers.items()}
    return Epochs(replies, failures, workers["kdflow"].about["runtime"], threads)


def _one_after_another(jobs: list[list[Reply]]) -> list[Reply]:
    """What the jobs of a round add up to."""
    return [
        {name: sum(one[name] for one in each) for name in ("seconds", "images")} for each in zip(*jobs, strict=True)
    ]
