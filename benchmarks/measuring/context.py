"""What all sections of a benchmark share: the sample, the options, and the epochs that several tables are made of."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from measuring.worker import Job, Orders, Reply, Worker, WorkerFailed, interleave

FULL = {"train": 45_000, "val": 5_000, "test": 10_000}  # images of the whole CIFAR-10
TEACHER_EPOCHS, STUDENT_EPOCHS = 20, 10

TEACHER = Job("teacher")
LABELS = Job("student, alpha = 1", alphas=(1.0,))
DISTILLED = Job("student, alpha = 0.5", alphas=(0.5,))
TAUGHT = Job("student, alpha = 0", alphas=(0.0,))
THREE = Job("three students", alphas=(1.0, 0.0, 0.5))
# A teacher's logits are kept: one more student, later, reads them.
LATER = Job("student, alpha = 0.5, logits kept", alphas=(0.5,), kept=True)

Replies = dict[str, dict[str, list[Reply]]]  # worker -> job -> one a round


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
        images: Training images of the whole data set.
        load_seconds: What reading the data set took.
        device: cpu or cuda.
        rounds: Of each interleaved measurement.
        quick: Whether less will do.
        torchdistill: Python of its environment; None leaves it out.
        missing: Why torchdistill is not in the tables, where it is not.
        say: Shows how far it is.
    """

    folder: Path
    sample: Path
    whole: Path
    dataset: str
    data_dir: str
    train: int
    images: int
    load_seconds: float
    device: str
    rounds: int
    quick: bool
    torchdistill: Path | None
    missing: list[str]
    say: Callable[[str], None]

    @property
    def many(self) -> Job:
        """A large cohort, alphas by turns."""
        students = 6 if self.quick else 12
        return Job(f"{students} students", alphas=(0.5, 1.0, 0.0) * (students // 3))

    def worker(self, program: str, *jobs: Job, threads: int = 0) -> Worker:
        """A process of one of the programs, on the sample."""
        return Worker(program, Orders(self.sample, self.device, jobs, threads))

    def measure(self, workers: Mapping[str, Worker]) -> Replies:
        """All jobs of all workers in turn, as often as there are rounds, once all are ready; then the workers end."""
        ready: dict[str, Worker] = {}
        with ExitStack() as started:
            for name, worker in workers.items():
                self.say(f"starting {name}")
                try:
                    ready[name] = started.enter_context(worker).wait_ready()
                except WorkerFailed as failure:
                    if name != "torchdistill":
                        raise
                    # Which is not ours; the tables are worth having without it.
                    self.missing.append(f"torchdistill is not in the table: {failure}")
            lanes = {
                (name, job.name): (worker, job.name) for name, worker in ready.items() for job in worker.orders.jobs
            }
            flat = interleave(lanes, self.rounds, say=self.say)
        replies: Replies = {name: {} for name in ready}
        for (name, job), answers in flat.items():
            replies[name][job] = answers
        return replies

    @cached_property
    def epochs(self) -> Replies:
        """An epoch of every job by every program, interleaved; a program that is missing is not in it."""
        workers = {"tutorial": self.worker("tutorial", TEACHER, LABELS, TAUGHT, DISTILLED)}
        if self.torchdistill:
            orders = Orders(self.sample, self.device, (TEACHER, DISTILLED))
            workers["torchdistill"] = Worker("boxes", orders, python=str(self.torchdistill))
        workers["kdflow"] = self.worker("engine", TEACHER, LABELS, DISTILLED, LATER, THREE, self.many)
        replies = self.measure(workers)
        # One after another is what the tutorial's way of three students is.
        each = zip(*(replies["tutorial"][job.name] for job in (LABELS, TAUGHT, DISTILLED)), strict=True)
        replies["tutorial"][THREE.name] = [
            {name: sum(one[name] for one in three) for name in ("seconds", "images")} for three in each
        ]
        return replies

    @cached_property
    def to_full(self) -> float:
        """How many epochs of the sample an epoch of the whole CIFAR-10 is."""
        return FULL["train"] / self.train
