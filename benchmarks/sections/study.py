"""The whole study with its tracking, for CIFAR-10 at full size: projected from epochs, or run."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from measuring.context import FULL, STUDENT_EPOCHS, TEACHER, TEACHER_EPOCHS, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import Spread, spread
from measuring.worker import Job, Worker, seconds

FORMULA = (
    "Projected: kdflow = reading the data + 20 teacher epochs + 10 epochs of three students + fixed costs + the final "
    "scores of 60,000 images for each of four models + the teacher's forward of 5,000 validation images; tutorial = 20 "
    "teacher epochs + 10 epochs of each of three students, without reading, tracking, registering or final scores. "
    "Epochs are those of the table above, scaled to 45,000 training and 5,000 validation images. Fixed costs are a "
    "whole `kdflow study --dataset digits` of 1 + 1 epochs on a fresh sqlite store, less its epochs."
)


def whole_study(bench: Bench) -> Section:
    """How long the study takes, and how many times as long the tutorial's way would."""
    epochs, scale = bench.epochs.replies, bench.to_full
    fixed = spread([_fixed_costs(bench, number) for number in range(1 if bench.quick else 3)])
    scoring = _scoring(bench)
    ours = [
        scale * (TEACHER_EPOCHS * teacher + STUDENT_EPOCHS * three) + bench.load_seconds + fixed.median + scoring.median
        for teacher, three in _pairs(epochs["kdflow"])
    ]
    theirs = [
        scale * (TEACHER_EPOCHS * teacher + STUDENT_EPOCHS * three) for teacher, three in _pairs(epochs["tutorial"])
    ]
    section = Section("The whole study, tracking included", MEASURED, notes=[FORMULA])
    section.add("tutorial", spread(theirs), form="{:,.0f}", unit=" s")
    section.add("kdflow", spread(ours), form="{:,.0f}", unit=" s")
    section.add(
        "of it reading the data", Spread(bench.load_seconds, bench.load_seconds, bench.load_seconds, 1), unit=" s"
    )
    section.add("of it fixed costs", fixed, form="{:.1f}", unit=" s")
    section.add("of it final scores", scoring, form="{:.1f}", unit=" s")
    ratio = spread([them / us for them, us in zip(theirs, ours, strict=True)])
    section.add("times the tutorial", ratio, target=Target(4, " times"))
    return section


def run_study(bench: Bench, *options: str) -> tuple[float, str]:
    """A real `kdflow study` in a fresh store: seconds from command to exit, and what it printed."""
    folder = bench.folder / f"study-{time.monotonic_ns()}"
    folder.mkdir()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    command = [str(Path(sys.executable).with_name("kdflow")), "study", "--device", bench.device, *options]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return wall, done.stdout


def full_study(bench: Bench) -> Section:
    """The study itself, once."""
    wall, _ = run_study(bench, "--dataset", str(bench.dataset), "--data-dir", bench.data_dir)
    section = Section(f"`kdflow study --dataset {Path(bench.dataset).name}`, run once", MEASURED)
    section.add("from command to exit", spread([wall]), form="{:,.0f}", unit=" s")
    return section


def _pairs(jobs: dict[str, list[dict[str, float]]]) -> list[tuple[float, float]]:
    return list(zip(seconds(jobs[TEACHER.name]), seconds(jobs[THREE.name]), strict=True))


def _fixed_costs(bench: Bench, number: int) -> float:
    bench.say(f"a study of 1 + 1 epochs, {number + 1}")
    wall, printed = run_study(bench, "--dataset", "digits", "--teacher-epochs", "1", "--student-epochs", "1")
    in_epochs = re.findall(r"^epoch .*?([\d.]+) s\)$", printed, flags=re.MULTILINE)
    if len(in_epochs) != 2:
        raise RuntimeError(f"expected the seconds of two epochs in: {printed}")
    return wall - sum(map(float, in_epochs))


def _scoring(bench: Bench) -> Spread:
    """Seconds for the final scores of a study at full size."""
    teacher, student = Job("scoring the teacher", scores=True), Job("scoring a student", alphas=(1.0,), scores=True)
    with Worker("engine", bench.orders(teacher, student)) as worker:
        lanes = {job.name: (worker, job.name) for job in (teacher, student)}
        replies = bench.run({"the final scores": worker}, lanes)
    each = sum(FULL.values())
    counts = {teacher.name: each + FULL["val"], student.name: 3 * each}
    times = zip(*(seconds(replies[name]) for name in counts), strict=True)
    return spread(
        [sum(count * one / bench.train for count, one in zip(counts.values(), both, strict=True)) for both in times]
    )
