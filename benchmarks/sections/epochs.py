"""One epoch, validation included: kdflow against the tutorial and torchdistill, and the cost of one more student."""

import os
from itertools import pairwise

from measuring.context import DISTILLED, LABELS, LARGE_TEACHER, LATER, TEACHER, THREE, Bench, cohort
from measuring.report import MEASURED, Section, Target
from measuring.stats import paired_ratio, spread
from measuring.worker import Reply, seconds

TARGETS = {TEACHER.name: Target(2.5, " times"), THREE.name: Target(5, " times")}


def against_others(bench: Bench) -> Section:
    """Images a second of each program, and how many times as fast kdflow is."""
    epochs = bench.epochs
    columns = [
        "job",
        *(f"{name}, images/s" for name in epochs.replies),
        "times the tutorial",
        "times torchdistill",
        "target",
    ]
    section = Section(f"An epoch, evaluation included ({epochs.runtime})", columns)
    for job in (TEACHER, LARGE_TEACHER, LABELS, DISTILLED, THREE):
        ours = epochs.replies["kdflow"].get(job.name)
        if ours is None:
            continue
        rates = [_rate(epochs.replies[name].get(job.name)) for name in epochs.replies]
        ratios = {
            name: paired_ratio(seconds(epochs.replies[name][job.name]), seconds(ours))
            for name in ("tutorial", "torchdistill")
            if job.name in epochs.replies.get(name, {})
        }
        target = TARGETS.get(job.name)
        shown = [ratios[name].show() if name in ratios else "" for name in ("tutorial", "torchdistill")]
        judged = target.judge(ratios["tutorial"].median) if target else ""
        section.rows.append((job.name, *rates, *shown, judged))
        section.figures[job.name] = {
            "seconds": {name: seconds(jobs[job.name]) for name, jobs in epochs.replies.items() if job.name in jobs},
            "times": {name: ratio.to_dict() for name, ratio in ratios.items()},
            "target": judged,
        }
    section.notes.append(
        "Three students: one after another for the tutorial, in one pass for kdflow; images are counted for each "
        "student. The ratio is that of the medians, in brackets the range of the ratios within a round."
    )
    threads = ", ".join(f"{name} {count}" for name, count in epochs.threads.items())
    section.notes.append(
        f"Threads, beside the {os.cpu_count()} processes that load images for all but kdflow: {threads}."
    )
    section.notes += [f"{name} is not in the table: {reason}" for name, reason in epochs.failures.items()]
    return section


def cohorts(bench: Bench) -> Section:
    """What a cohort's size costs."""
    replies = bench.epochs.replies["kdflow"]
    section = Section("One more student", MEASURED)
    sizes = {size: seconds(replies[cohort(size).name]) for size in bench.cohorts}
    for size, times in sizes.items():
        name = f"{size} students" if size > 1 else DISTILLED.name
        section.add(name, spread(times), form="{:.3f}", unit=" s an epoch")
    section.add(LATER.name, spread(seconds(replies[LATER.name])), form="{:.3f}", unit=" s, set-up included")
    steps = [(bench.cohorts[0], bench.cohorts[-1]), *pairwise(bench.cohorts)]
    for fewer, more in steps:
        for solo in (DISTILLED, LABELS):
            shares = [
                100 * (late - early) / (more - fewer) / alone
                for early, late, alone in zip(sizes[fewer], sizes[more], seconds(replies[solo.name]), strict=True)
            ]
            title = f"one more student ({fewer} to {more}), of a solo {solo.name}"
            overall = (fewer, more) == steps[0] and solo == DISTILLED
            target = Target(30, " %", at_least=False) if overall else None
            section.add(title, spread(shares), form="{:.0f}", unit=" %", target=target)
    return section


def _rate(replies: list[Reply] | None) -> str:
    return spread([one["images"] / one["seconds"] for one in replies]).show("{:,.0f}") if replies else ""
