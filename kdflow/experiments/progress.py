"""What a training run shows while it lasts: a bar on a terminal or in a notebook, one line an epoch everywhere."""

import re
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kdflow.common import signals
from kdflow.common.console import console, is_hushed, say, warn
from kdflow.common.notebook import NotebookBar, in_notebook
from kdflow.launchers import Ended, Job, Place
from kdflow.training.cohort import Step
from kdflow.training.loop import Epoch

REFRESHES_PER_EPOCH = 50
EPOCH = re.compile(r"^epoch (\d+)/(\d+) ", re.MULTILINE)
LOOK = 2.0
"""Seconds between two looks at how far jobs are."""


class TrainingProgress:
    """Shows the training of one cohort.

    Args:
        title: What is trained.
        members: Names of its members.
        epochs: How many there will be.
        done: How many there have been, before a stop.
    """

    def __init__(self, title: str, members: Sequence[str], epochs: int, *, done: int = 0) -> None:
        self._title, self._members, self._epochs = title, members, epochs
        self._epoch = done + 1
        self._page = NotebookBar() if in_notebook() else None
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
        ]
        shown = console.is_terminal and not self._page and not is_hushed()
        self._bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown)
        self._bar = self._bars.add_task(title, total=None, now="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()
        if self._page:
            self._page.close()

    def step(self, step: Step) -> None:
        """Moves the bar now and then; on CUDA without the running loss, as reading it would make the device wait."""
        if not (self._page or not self._bars.disable) or step.number % max(step.of // REFRESHES_PER_EPOCH, 1):
            return
        title = f"{self._title} epoch {self._epoch}/{self._epochs}"
        now = "" if step.sums.values.is_cuda else _so_far(step)
        if self._page:
            self._page.show(f"{title} {now}", done=step.number, of=step.of)
        else:
            self._bars.update(self._bar, description=title, total=step.of, completed=step.number, now=now)

    def epoch(self, epoch: Epoch) -> None:
        """Prints what an epoch gave."""
        self._epoch = epoch.number + 1
        parts = [
            f"{name}: label loss {metrics['train/label_loss']:.3f}, validation {metrics['val/accuracy']:.2%}"
            for name, metrics in zip(self._members, epoch.metrics, strict=True)
        ]
        took = f"{epoch.metrics[0]['speed/epoch_seconds']:.1f} s"
        say(f"epoch {epoch.number}/{self._epochs} {' | '.join(parts)} ({_objectives(epoch.metrics)}{took})")


class JobsProgress:
    """One display for all jobs of a study: done, running, left, and how long it will take.

    Args:
        jobs: All of them.
        seconds: By name, how long each is expected to take.
        place: Where what they say is found.
    """

    def __init__(self, jobs: Sequence[Job], seconds: Mapping[str, float], place: Place) -> None:
        self._left, self._seconds, self._place = {job.name: job for job in jobs}, seconds, place
        self._running: dict[str, tuple[Job, float]] = {}
        self._of, self._over = len(jobs), 0
        self._began, self._looked = time.monotonic(), 0.0
        shown = console.is_terminal and not is_hushed()
        columns = [TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}")]
        self._bars = Progress(*columns, console=console, transient=True, disable=not shown)
        self._bar = self._bars.add_task("jobs", total=sum(seconds.values()), now="")
        self._patience = signals.patient()

    def __enter__(self) -> Self:
        self._patience.__enter__()
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._patience.__exit__(kind, error, trace)

    def began(self, job: Job, attempt: int) -> None:
        """See `Watcher`."""
        self._left.pop(job.name, None)
        self._running[job.name] = job, time.monotonic()

    def failed(self, job: Job, ended: Ended, attempt: int) -> None:
        """See `Watcher`."""
        self._running.pop(job.name)
        self._left[job.name] = job
        warn(f"{job.title} failed ({_why(ended)}): it goes on in another attempt")

    def ended(self, job: Job, ended: Ended) -> None:
        """See `Watcher`."""
        _, began = self._running.pop(job.name, (job, time.monotonic()))
        self._left.pop(job.name, None)
        self._over += 1
        if ended.well:
            took = time.monotonic() - began
            say(f"[{self._over}/{self._of}] {job.title}: done in {duration(took)}{self._outlook()}")
        else:
            warn(f"[{self._over}/{self._of}] {job.title} failed ({_why(ended)}); see {self._place.log(job)}")

    def passed(self) -> None:
        """See `Watcher`; a signal ends all jobs."""
        signals.check()
        if time.monotonic() - self._looked > LOOK:
            self._looked = time.monotonic()
            titles = ", ".join(job.title for job, _ in self._running.values())
            now = f"{len(self._running)} running ({titles}), {len(self._left)} left{self._outlook()}"
            done = sum(self._seconds.values()) - self._to_do()
            self._bars.update(self._bar, description=f"jobs {self._over}/{self._of}", completed=done, now=now)

    def _outlook(self) -> str:
        """How long the rest will take, by the pace so far; nothing where that cannot be said yet."""
        to_do = self._to_do()
        done, passed = sum(self._seconds.values()) - to_do, time.monotonic() - self._began
        return f", about {duration(to_do * passed / done)} left" if to_do > 0 and done > 0 else ""

    def _to_do(self) -> float:
        """Seconds of work that are expected still."""
        waiting = sum(self._seconds[name] for name in self._left)
        return waiting + sum(self._seconds[name] * (1 - self._share(job)) for name, (job, _) in self._running.items())

    def _share(self, job: Job) -> float:
        """How much of a job is done, by the epochs that it tells of."""
        try:
            told = EPOCH.findall(self._place.log(job).read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return 0.0
        return int(told[-1][0]) / int(told[-1][1]) if told else 0.0


def duration(seconds: float) -> str:
    """A time for people, such as "35 s", "12 min" or "3 h 20 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _why(ended: Ended) -> str:
    if ended.reason:
        return ended.reason
    code = ended.code or 0
    return f"ended by signal {-code}" if code < 0 else f"exit code {code}"


def _objectives(members: Sequence[Mapping[str, float]]) -> str:
    """What each member minimises, where it is more than the label loss; it depends on alpha, so it stands apart."""
    objectives = [metrics["train/loss"] for metrics in members]
    if objectives == [metrics["train/label_loss"] for metrics in members]:
        return ""
    return f"own objective{'s' * (len(members) > 1)} {', '.join(map('{:.3f}'.format, objectives))}; "


def _so_far(step: Step) -> str:
    means = step.means()
    losses = " ".join(f"{one['train/label_loss']:.2f}" for one in means)
    accuracies = " ".join(f"{one['train/accuracy']:.1%}" for one in means)
    return f"label loss {losses}, accuracy {accuracies}"
