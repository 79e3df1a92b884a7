"""The whole study with its tracking, for CIFAR-10 at full size: projected from epochs, or run."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from measuring.context import FULL, STUDENT_EPOCHS, TEACHER, TEACHER_EPOCHS, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import Spread, spread
from measuring.worker import Job, seconds

FORMULA = (
    "Projected: kdflow = reading the data + 20 teacher epochs + 10 epochs of three students + fixed costs + the final "
    "scores of 60,000 images for each of four models + the teacher's forward of 5,000 validation images; tutorial = 20 "
    "teacher epochs + 10 epochs of each of three students, without reading, tracking, registering or final scores. "
    "Epochs are those of the table above, scaled to 45,000 training and 5,000 validation images. Fixed costs are a "
    "whole `kdflow study --dataset digits` of 1 + 1 epochs on a fresh sqlite store, less its epochs."
)


def whole_study(bench: Bench) -> Section:
    """How long the study takes, and how many times as long the tutorial's way would."""
    fixed = spread([_fixed_costs(bench, number) for number in range(1 if bench.quick else 3)])
    scoring = _scoring(bench)
    theirs, ours = (_trainings(bench, program) for program in ("tutorial", "kdflow"))
    ours = [training + bench.load_seconds + fixed.median + scoring.median for training in ours]
    section = Section("The whole study, tracking included", MEASURED, notes=[FORMULA])
    section.add("tutorial", spread(theirs), form="{:,.0f}", unit=" s")
    section.add("kdflow", spread(ours), form="{:,.0f}", unit=" s")
    section.add("of it reading the data", spread([bench.load_seconds]), unit=" s")
    section.add("of it fixed costs", fixed, form="{:.1f}", unit=" s")
    section.add("of it final scores", scoring, form="{:.1f}", unit=" s")
    ratio = spread([them / us for them, us in zip(theirs, ours, strict=True)])
    section.add("times the tutorial", ratio, target=Target(4, " times"))
    return section


def full_study(bench: Bench) -> Section:
    """The study itself, once."""
    wall, _ = timed_study(bench, "--dataset", bench.dataset, "--data-dir", bench.data_dir)
    section = Section(f"`kdflow study --dataset {Path(bench.dataset).name}`, run once", MEASURED)
    section.add("from command to exit", spread([wall]), form="{:,.0f}", unit=" s")
    return section


def _trainings(bench: Bench, program: str) -> list[float]:
    """Seconds of all epochs of a study, for each round."""
    jobs = bench.epochs[program]
    both = zip(seconds(jobs[TEACHER.name]), seconds(jobs[THREE.name]), strict=True)
    return [bench.to_full * (TEACHER_EPOCHS * teacher + STUDENT_EPOCHS * three) for teacher, three in both]


def timed_study(bench: Bench, *options: str) -> tuple[float, str]:
    """A real `kdflow study` in a fresh store: seconds from command to exit, and what it printed."""
    folder = Path(mkdtemp(prefix="study-", dir=bench.folder))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    command = [str(Path(sys.executable).with_name("kdflow")), "study", "--device", bench.device, *options]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip().splitlines()[-1:]}")
    return wall, done.stdout


def _fixed_costs(bench: Bench, number: int) -> float:
    bench.say(f"a study of 1 + 1 epochs, {number + 1}")
    wall, printed = timed_study(bench, "--dataset", "digits", "--teacher-epochs", "1", "--student-epochs", "1")
    in_epochs = re.findall(r"^epoch .*?([\d.]+) s\)$", printed, flags=re.MULTILINE)
    if len(in_epochs) != 2:
        raise RuntimeError(f"expected the seconds of two epochs in: {printed}")
    return wall - sum(map(float, in_epochs))


def _scoring(bench: Bench) -> Spread:
    """Seconds for the final scores of a study at full size."""
    teacher, student = Job("scoring the teacher", scores=True), Job("scoring a student", alphas=(1.0,), scores=True)
    found = bench.measure({"the final scores": bench.worker("engine", teacher, student)})["the final scores"]
    images = sum(FULL.values())
    both = zip(seconds(found[teacher.name]), seconds(found[student.name]), strict=True)
    return spread([((images + FULL["val"]) * one + 3 * images * other) / bench.train for one, other in both])
