"""A grid of seeds on two workers, against one study after another on all cores, and against the tutorial's way."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import seconds, turn
from sections.study import timed_study

SEEDS = 4
EPOCHS = {"digits": (6, 4)}
"""Of teacher and students, where an epoch takes no time; else one of each, so that what a job costs beside counts."""
NOTE = (
    "{seeds} seeds, each a teacher ({teacher} epochs) and three students ({student}), tracked, on {images:,} images, "
    "in fresh stores. The tutorial's way: as many of its epochs of the table above, one after another on all cores, "
    "without reading, tracking or final scores."
)
GRID, ALONE, TUTORIAL, SINGLE = "grid, two workers", "one study after another", "the tutorial's way", "grid, one worker"
TARGETS = {ALONE: Target(1.2, " times"), TUTORIAL: Target(3, " times")}


def grid(bench: Bench) -> Section:
    """Jobs an hour, and how many times as long the others take."""
    teacher, student = EPOCHS.get(bench.dataset, (1, 1))
    data = ("--dataset", bench.dataset, "--data-dir", bench.data_dir)
    common = (*data, "--teacher-epochs", str(teacher), "--student-epochs", str(student))
    whole = partial(timed_study, bench, *common, "--seeds", f"0-{SEEDS - 1}")
    programs: dict[str, Callable[[], float]] = {
        GRID: lambda: whole("--workers", "2")[0],
        SINGLE: lambda: whole("--workers", "1")[0],
        ALONE: lambda: sum(timed_study(bench, *common, "--seed", str(seed))[0] for seed in range(SEEDS)),
    }
    if bench.quick:
        del programs[SINGLE]
    times: dict[str, list[float]] = {name: [] for name in programs}
    rounds = max(bench.rounds // 3, 1)
    for number in range(rounds):
        bench.say(f"round {number + 1} of {rounds}")
        for name in turn(list(programs), number):
            times[name].append(programs[name]())
    jobs = bench.epochs["tutorial"]
    both = zip(seconds(jobs[TEACHER.name]), seconds(jobs[THREE.name]), strict=True)
    theirs = [SEEDS * bench.images / bench.train * (teacher * one + student * three) for one, three in both][:rounds]
    note = NOTE.format(seeds=SEEDS, teacher=teacher, student=student, images=bench.images)
    section = Section(f"A grid of {SEEDS} seeds on {Path(bench.dataset).name}", MEASURED, notes=[note])
    for name, measured in [*times.items(), (TUTORIAL, theirs)]:
        section.add(name, spread(measured), form="{:,.0f}", unit=" s")
    section.add("jobs an hour", spread([2 * SEEDS * 3600 / one for one in times[GRID]]), form="{:,.0f}")
    others = [(name, measured) for name, measured in times.items() if name != GRID] + [(TUTORIAL, theirs)]
    for other, measured in others:
        ratio = spread([them / us for them, us in zip(measured, times[GRID], strict=True)])
        section.add(f"times as fast as {other}", ratio, target=TARGETS.get(other))
    return section
