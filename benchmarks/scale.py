"""How long it takes to plan, place and compare very many runs, and how much memory.

    python benchmarks/scale.py --runs 10000                           # on sqlite, in a folder that goes afterwards
    python benchmarks/scale.py --store postgresql://user@host/name    # in an empty database

Nothing is trained: a grid of runs, as many settings as seeds, is written straight into the tables of the store, with
the params, metrics and tags that kdflow logs. Jobs are placed with a launcher whose jobs end at once.
"""

import os
import random
import resource
import subprocess
import sys
import time
import uuid
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
from mlflow import MlflowClient
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from sqlalchemy import create_engine

from kdflow.config import StudentConfig, StudyConfig, TeacherConfig, configure
from kdflow.config.option import show
from kdflow.evaluation.metrics import metrics
from kdflow.experiments.grid import Grid
from kdflow.launchers import base
from kdflow.models.cost import PARAMETERS
from kdflow.training.identity import Signer, params

DATA = {"kdflow.data": "digits", "kdflow.data_digest": "d" * 32, "kdflow.split_digest": "s" * 32}
OTHERS = ("device", "precision", "threads", "process", "key", "signature", "version", "study_id", "validation")
TAGS = DATA | {f"kdflow.{name}": "the same" for name in OTHERS} | {"mlflow.user": "me", "mlflow.source.name": "kdflow"}
TEMPERATURES = (1, 2, 4, 8, 12, 16, 20)
TABLES = (SqlRun, SqlTag, SqlParam, SqlLatestMetric, SqlMetric)
Lines = dict[Any, list[dict[str, Any]]]


@click.command()
@click.option("--runs", default=10_000, show_default=True, help="Finished runs, about as many settings as seeds.")
@click.option("--store", default="", help="Address of an empty database; by default a sqlite file.")
@click.option("--keep", default="", help="Folder for the runs and the comparison; by default one that goes afterwards.")
def main(runs: int, store: str, keep: str) -> None:
    """Prints seconds and peak memory."""
    with TemporaryDirectory(prefix="kdflow-scale-") as made:
        folder = Path(keep or made).absolute()
        address = store or f"sqlite:///{folder}/mlflow.db"
        plan_and_place(runs)
        began = time.perf_counter()
        print(f"{fill(address, runs)} runs written in {time.perf_counter() - began:.0f} s")
        began = time.perf_counter()
        command = [sys.executable, "-m", "kdflow", "compare"]
        subprocess.run(command, cwd=folder, env=os.environ | {"MLFLOW_TRACKING_URI": address}, check=True)
        seconds, peak = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        for path in sorted(folder.glob("runs/*/artifacts/*")):
            print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")
        print(f"kdflow compare: {seconds:.1f} s, {peak:.0f} MiB")


def plan_and_place(count: int) -> None:
    """Prints how long a grid of so many jobs takes to be planned, and to be placed."""
    began = time.perf_counter()
    config = configure(StudyConfig(), dataset="digits", seeds=f"0-{count // 2 - 1}", alphas="1,0")
    jobs = [planned.job for planned in Grid(config, Signer(DATA, "fp32")).jobs({})]
    print(f"{len(jobs)} jobs planned: {time.perf_counter() - began:.1f} s")
    began = time.perf_counter()
    base.PAUSE = 0.0
    ended = base.run(jobs, AtOnce(), Deaf())
    assert all(one.well for one in ended.values())
    print(f"{len(jobs)} jobs placed, two at a time: {time.perf_counter() - began:.1f} s")


class AtOnce:
    """A launcher whose jobs end at once."""

    def __init__(self) -> None:
        self._running: list[base.Job] = []

    @staticmethod
    def require() -> None: ...

    @property
    def room(self) -> int:
        return 2 - len(self._running)

    def start(self, job: base.Job) -> None:
        self._running.append(job)

    def ended(self) -> list[tuple[base.Job, base.Ended]]:
        over, self._running = self._running, []
        return [(job, base.Ended(0)) for job in over]

    def stop(self) -> None: ...

    def close(self) -> None: ...


class Deaf:
    """Hears of jobs, and does nothing about it."""

    def began(self, job: base.Job, attempt: int) -> None: ...

    def failed(self, job: base.Job, ended: base.Ended, attempt: int) -> None: ...

    def ended(self, job: base.Job, ended: base.Ended) -> None: ...

    def passed(self) -> None: ...


def fill(store: str, count: int) -> int:
    """Writes a grid of finished runs, for each seed a teacher and its students; returns how many."""
    MlflowClient(store).search_experiments(max_results=1)  # makes the tables
    seeds = round(count**0.5)
    distilled = count // seeds - 2  # beside the teacher and the student of labels
    alphas = [place / 100 for place in range(1 + distilled // len(TEMPERATURES))]
    students = [(1.0, 4), *product(alphas, TEMPERATURES)][: 1 + distilled]
    engine = create_engine(store)
    for seed in range(seeds):
        taught_by = uuid.uuid4().hex
        runs = [_run(taught_by, configure(TeacherConfig(), dataset="digits", seed=seed), {"kdflow.role": "teacher"})]
        for alpha, temperature in students:
            config = configure(StudentConfig(), dataset="digits", seed=seed, alpha=alpha, temperature=temperature)
            tags = {"kdflow.role": "student"} | ({"kdflow.teacher_run_id": taught_by} if alpha < 1 else {})
            runs.append(_run(uuid.uuid4().hex, config, tags))
        with engine.begin() as connection:
            for table in TABLES:
                connection.execute(table.__table__.insert(), [line for run in runs for line in run[table]])
    engine.dispose()
    return seeds * (1 + len(students))


def _run(run_id: str, config: TeacherConfig | StudentConfig, tags: dict[str, str]) -> Lines:
    """The lines of one run in each table; what is measured is the same for all epochs."""
    own, when, epochs = {"run_uuid": run_id}, 1_700_000_000_000 + config.runtime.seed, config.recipe.epochs
    value = random.Random(str(config)).gauss(0.7, 0.004)
    logged: Lines = {SqlMetric: [], SqlLatestMetric: []}
    for name in metrics:
        steps = (0,) if name.startswith("final/") else range(1, epochs + 1)
        lines = [
            {**own, "key": name, "value": value, "timestamp": when, "step": step, "is_nan": False} for step in steps
        ]
        logged[SqlMetric] += lines
        logged[SqlLatestMetric].append(lines[-1])
    described = params(config) | {PARAMETERS: 100_000}
    run = {"name": "stub", "status": "FINISHED", "start_time": when, "end_time": when, "experiment_id": 0}
    run |= {"source_type": "LOCAL", "user_id": "me", "lifecycle_stage": "active", "artifact_uri": "file:///nowhere"}
    return logged | {
        SqlRun: [own | run],
        SqlTag: [own | {"key": name, "value": text} for name, text in (TAGS | tags).items()],
        SqlParam: [own | {"key": name, "value": show(text)} for name, text in described.items()],
    }


if __name__ == "__main__":
    main()
