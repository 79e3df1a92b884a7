"""What a launcher is: it runs command lines, tries those again that fail, and tells what becomes of them."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kdflow.common.errors import DataError, UsageError
from kdflow.common.registry import Registry
from kdflow.config import PlacingConfig

TRIES = 3
"""Times that a job is begun at the most: it goes on from its last epoch each time."""
HOPELESS = {UsageError.exit_code, DataError.exit_code}
"""Exit codes that another try would end with again."""
PAUSE = 0.1
"""Seconds between two looks at the jobs."""
ERROR, LONGEST = "kdflow: error: ", 300
"""How the line begins that a job which failed ends with, and how much of it is told."""
OF_THE_STUDY = (
    "MLFLOW_RUN_ID",
    "MLFLOW_PARENT_RUN_ID",
    "MLFLOW_RUN_NAME",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_EXPERIMENT_ID",
)
"""Variables that are the study's own: a job that had them would take the study's run for its own."""


@dataclass(frozen=True)
class Job:
    """One command line, which finds what it did before and goes on with it.

    Attributes:
        name: Among the jobs of a study, as a folder may be called.
        title: For people, such as "cohort, seed 1".
        arguments: What follows `kdflow`.
        after: Names of the jobs that must have ended well before it begins.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        code: Its exit code; negative for a signal that ended it; None if it was never begun.
        reason: The last that it said, where it failed.
    """

    code: int | None
    reason: str = ""

    @property
    def well(self) -> bool:
        """Whether it did all that it had to."""
        return self.code == 0


@dataclass(frozen=True)
class Place:
    """What a launcher needs to know of a study.

    Attributes:
        folder: For the logs of its jobs.
        variables: Of the environment, that each job is given beside those of this process.
        placing: The options of the study.
        threads: On which each job computes.
    """

    folder: Path
    variables: Mapping[str, str]
    placing: PlacingConfig
    threads: int

    def log(self, job: Job) -> Path:
        """The file that takes what a job says."""
        return self.folder / job.name / "output.txt"

    @property
    def environment(self) -> dict[str, str]:
        """Of a job."""
        kept = {name: value for name, value in os.environ.items() if name not in OF_THE_STUDY}
        return kept | dict(self.variables)


class Watcher(Protocol):
    """Hears of jobs, in the process of the study."""

    def began(self, job: Job, attempt: int) -> None:
        """A job begins, for the first time or again."""

    def failed(self, job: Job, ended: Ended, attempt: int) -> None:
        """An attempt at a job failed, and there will be another."""

    def ended(self, job: Job, ended: Ended) -> None:
        """A job has ended for good."""

    def passed(self) -> None:
        """Called now and then while jobs run; raises what asks for the end."""


class Launcher(Protocol):
    """Runs command lines somewhere; what it is made of is a `Place`."""

    def __init__(self, place: Place) -> None: ...

    @staticmethod
    def require() -> None:
        """Makes sure, before any work, that jobs can run there.

        Raises:
            UsageError: they cannot.
        """

    @property
    def room(self) -> int:
        """How many more jobs may be begun now."""

    def start(self, job: Job) -> None:
        """Begins a job."""

    def ended(self) -> list[tuple[Job, Ended]]:
        """The jobs that have ended since this was last asked."""

    def stop(self) -> None:
        """Ends all that runs, after the batch in hand, and waits for that."""

    def close(self) -> None:
        """Leaves nothing behind."""


launchers: Registry[type[Launcher]] = Registry("place to run jobs")


def run(jobs: Sequence[Job], launcher: Launcher, watcher: Watcher) -> dict[str, Ended]:
    """Runs jobs to their end, each after those that it names; tries those again that fail.

    Args:
        jobs: In the order in which they are begun where there is a choice, each after those that it needs.
        launcher: Where they run.
        watcher: Hears of them. If it raises, all jobs are stopped.

    Returns:
        How each ended, by name.
    """
    waiting, attempts, over = list(jobs), dict.fromkeys((job.name for job in jobs), 0), dict[str, Ended]()
    running = 0
    try:
        while waiting or running:
            watcher.passed()
            while launcher.room > 0 and (job := _next(waiting, over)):
                waiting.remove(job)
                attempts[job.name] += 1
                watcher.began(job, attempts[job.name])
                launcher.start(job)
                running += 1
            for job, ended in launcher.ended():
                running -= 1
                if not ended.well and attempts[job.name] < TRIES and ended.code not in HOPELESS:
                    watcher.failed(job, ended, attempts[job.name])
                    waiting.insert(0, job)
                    continue
                for one, how in [(job, ended), *([] if ended.well else _lost(waiting, job))]:
                    over[one.name] = how
                    watcher.ended(one, how)
                if not ended.well:
                    waiting = [one for one in waiting if one.name not in over]
            time.sleep(PAUSE)
    except BaseException:
        launcher.stop()
        raise
    finally:
        launcher.close()
    return over


def last_words(log: Path) -> str:
    """The error that a job ended with, as far as it said one."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    errors = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    return errors[-1][:LONGEST] if errors else ""


def _next(waiting: Sequence[Job], over: Mapping[str, Ended]) -> Job | None:
    """The first job that can begin."""
    return next((job for job in waiting if all(one in over and over[one].well for one in job.after)), None)


def _lost(waiting: Sequence[Job], failed: Job) -> list[tuple[Job, Ended]]:
    """Jobs that cannot begin any more, since they need one that failed, or one that needs that."""
    lost = {failed.name}
    found = []
    for job in waiting:  # in their order, in which none stands before one that it needs
        if needed := [one for one in job.after if one in lost]:
            lost.add(job.name)
            found.append((job, Ended(None, f"it needs {needed[0]}")))
    return found
