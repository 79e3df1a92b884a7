"""What a study is going to do: jobs, what is reused and goes on, how long it will take; shown before it starts."""

import heapq
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from kdflow import models
from kdflow.common import files
from kdflow.common.console import say
from kdflow.common.text import command
from kdflow.config import PlacingConfig, Recipe, StudyConfig
from kdflow.data.base import Split
from kdflow.experiments.attempts import is_meant
from kdflow.experiments.commands import plan_run
from kdflow.experiments.grid import Grid, PlannedJob, typed_again
from kdflow.experiments.progress import duration
from kdflow.experiments.session import Session
from kdflow.journal.journal import Journal
from kdflow.launchers import launchers
from kdflow.teachers.frozen import Frozen
from kdflow.tracking.record import Record
from kdflow.training.loop import fit

TRIED_STEPS = 6
"""Steps of a short trial, of which a whole training is reckoned."""
TRIED_RATE = 1e-6
"""At which no trial diverges, whatever the training will do."""
START = 8.0
"""Seconds that a job takes to its first step and from its last, roughly."""
MEBIBYTE = 1024


def job_config(config: StudyConfig) -> StudyConfig:
    """The options of a study whose jobs run side by side: each on one thread unless more are asked for.

    Raises:
        UsageError: there is no such place to run them, or nothing to run them with.
    """
    launchers[config.placing.on].require()
    if is_one_training(config) or config.runtime.threads != 0:
        return config
    return replace(config, runtime=replace(config.runtime, threads=1))


def is_one_training(config: StudyConfig) -> bool:
    """Whether a study is one teacher and one cohort, which are trained one after the other on all cores."""
    return len(config.every_seed) == 1 and not config.placing.cohort_size and config.placing.on == "local"


@dataclass(frozen=True)
class StudyPlan:
    """What is left to do of a grid.

    Attributes:
        grid: All that the study has.
        jobs: Of what is left.
        session: Of the study.
        reused: How many runs are finished.
        stopped: How many jobs go on.
    """

    grid: Grid
    jobs: list[PlannedJob]
    session: Session[StudyConfig]
    reused: int
    stopped: int

    @classmethod
    def made(cls, grid: Grid, session: Session[StudyConfig], done: Mapping[str, Record]) -> "StudyPlan":
        """Plans what is left.

        Args:
            grid: All that the study has.
            session: Of the study.
            done: By signature, what is finished.
        """
        jobs = grid.jobs({signature: record.run_id for signature, record in done.items()})
        return cls(grid, jobs, session, len(done), sum(map(_Stopped(session), jobs)))

    @property
    def is_one_training(self) -> bool:
        """Whether it is done in this process."""
        return is_one_training(self.session.config)

    @cached_property
    def seconds(self) -> dict[str, float]:
        """By name, how long each job will take, as a short trial of the first of its kind lets expect."""
        kinds: dict[tuple[bool, int], float] = {}
        found = {}
        for planned in self.jobs:
            kind = planned.is_teacher, len(planned.runs)
            if kind not in kinds:
                kinds[kind] = START + _tried(planned, self.session)
            found[planned.job.name] = kinds[kind]
        return found

    def tell(self) -> None:
        """Says what is going to be done."""
        config, runs = self.session.config, self.grid.runs
        if self.is_one_training and not (self.reused or config.placing.dry_run):
            return
        parts = [f"{len(runs)} runs"]
        parts += [f"{self.reused} finished before and reused"] if self.reused else []
        parts += [f"{self.stopped} stopped jobs go on"] if self.stopped else []
        if not self.jobs:
            say(f"Plan: {', '.join(parts)}; nothing to train (--reuse false trains anew)", vital=True)
            return
        if not self.is_one_training or config.placing.dry_run:
            workers = _workers(config.placing)
            total = _makespan(list(self.seconds.values()), workers)
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MEBIBYTE
            threads = f"{self.session.runtime.threads} thread{'s' * (self.session.runtime.threads > 1)} each"
            parts += [f"{len(self.jobs)} jobs, {workers} at a time, {threads}"]
            parts += [f"about {duration(total)}", f"about {memory:,.0f} MiB a job"]
        say(f"Plan: {', '.join(parts)}", vital=True)

    def only_told(self, path: str) -> None:
        """Says the plan and its jobs, or writes them to a file, and trains nothing.

        Args:
            path: Of the file; empty: the jobs are said.

        Raises:
            KdflowError: it cannot be written.
        """
        self.tell()
        lines = [command("kdflow", *planned.job.arguments) for planned in self.jobs]
        if not path:
            for line in lines:
                say(f"  {line}")
            return
        config = self.session.config
        again = typed_again(replace(config, placing=replace(config.placing, plan="", dry_run=False)))
        teachers = [line for line, planned in zip(lines, self.jobs, strict=True) if planned.is_teacher]
        text = (
            "# First the teachers, side by side; then the cohorts of students; then the comparison (docs/scale.md).",
            *teachers,
            "",
            *(line for line in lines if line not in teachers),
            "",
            f"# {command('kdflow', 'study', *again)}",
        )
        files.write(Path(path).expanduser().absolute(), ("\n".join(text) + "\n").encode())
        say(f"{len(lines)} jobs in {path}, a command a line; docs/scale.md shows how to run them", vital=True)


class _Stopped:
    """Whether a job was begun before and can go on."""

    def __init__(self, session: Session[StudyConfig]) -> None:
        self._session = session
        self._runs_dir = Path(session.config.keeping.runs_dir)
        self._begun = {path.name.rpartition("-")[0] for path in self._runs_dir.glob("*-*-*")}

    def __call__(self, planned: PlannedJob) -> bool:
        kind = planned.job.arguments[0]
        if f"{kind}-{planned.signature[:12]}" not in self._begun:
            return False
        attempts = Journal.attempts(self._runs_dir, kind, planned.signature)
        return any(one.can_go_on and is_meant(one, self._session) for one in attempts)


def _workers(placing: PlacingConfig) -> int:
    return placing.workers or os.cpu_count() or 1


def _makespan(seconds: list[float], workers: int) -> float:
    """When the last job ends, if each worker takes the next as soon as it is free."""
    free = [0.0] * workers
    for one in seconds:
        heapq.heappush(free, heapq.heappop(free) + one)
    return max(free)


def _tried(planned: PlannedJob, session: Session[StudyConfig]) -> float:
    """Seconds that the epochs of a job take, reckoned from a few steps."""
    config, data = session.config, session.data
    recipe: Recipe = config.teacher_recipe if planned.is_teacher else config.student_recipe
    members = [plan_run(one.config, session, one.taught_by).member for one in planned.runs]
    teacher = None if planned.is_teacher else Frozen(models.build(config.teacher_model, len(data.classes), seed=0))
    whole = max(len(data.train) // recipe.batch_size, 1)
    count = min(TRIED_STEPS * recipe.batch_size, len(data.train))
    val = Split(data.val.images[: recipe.batch_size], data.val.labels[: recipe.batch_size])
    small = replace(data, train=Split(data.train.images[:count], data.train.labels[:count]), val=val)
    trial = replace(recipe, epochs=2 if whole > 1 else 1, lr=TRIED_RATE)
    last = [
        epoch.metrics[0]["speed/epoch_seconds"]
        for epoch in fit(members, small, trial, runtime=session.runtime, teacher=teacher)
    ]
    step = last[-1] / max(count // recipe.batch_size, 1)
    validation = step / 3 * len(data.val) / recipe.batch_size
    return recipe.epochs * (whole * step + validation)
