"""One epoch, validation included: kdflow against the tutorial and torchdistill, and the cost of one more student."""

import os

from measuring.context import DISTILLED, LABELS, LATER, TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import paired_ratio, spread
from measuring.worker import seconds

TARGETS = {TEACHER.name: Target(2.5, " times"), THREE.name: Target(5, " times")}
NOTE = (
    "Three students: one after another for the tutorial, in one pass for kdflow; images are counted for each student. "
    "The ratio is that of the medians, in brackets the range of the ratios within a round."
)


def against_others(bench: Bench) -> Section:
    """Images a second of each program, and how many times as fast kdflow is."""
    programs = bench.epochs
    runtime = programs["kdflow"][TEACHER.name][0]["runtime"]
    others = ("tutorial", "torchdistill")
    rates = [f"{name}, images/s" for name in programs]
    columns = ["job", *rates, *(f"times {'the ' * (name == 'tutorial')}{name}" for name in others), "target"]
    section = Section(f"An epoch, evaluation included ({runtime})", columns)
    for job in (TEACHER, LABELS, DISTILLED, THREE):
        found = {name: jobs[job.name] for name, jobs in programs.items() if job.name in jobs}
        times = {name: seconds(replies) for name, replies in found.items()}
        ratios = {name: paired_ratio(times[name], times["kdflow"]) for name in others if name in times}
        rates = [
            spread([one["images"] / one["seconds"] for one in found[name]]).show("{:,.0f}") if name in found else ""
            for name in programs
        ]
        shown = [ratios[name].show() if name in ratios else "" for name in others]
        judged = TARGETS[job.name].judge(ratios["tutorial"].median) if job.name in TARGETS else ""
        section.rows.append((job.name, *rates, *shown, judged))
        section.figures[job.name] = {
            "seconds": times,
            "times": {name: vars(ratio) for name, ratio in ratios.items()},
            "target": judged,
        }
    threads = ", ".join(f"{name} {jobs[TEACHER.name][0]['threads']}" for name, jobs in programs.items())
    loaders = f"Threads, beside the {os.cpu_count()} processes that load images for all but kdflow: {threads}."
    section.notes += [NOTE, loaders, *bench.missing]
    return section


def cohorts(bench: Bench) -> Section:
    """What a cohort's size costs."""
    times = {name: seconds(replies) for name, replies in bench.epochs["kdflow"].items()}
    section = Section("One more student", MEASURED)
    for job in (DISTILLED, THREE, bench.many):
        section.add(job.name, spread(times[job.name]), form="{:.3f}", unit=" s an epoch")
    section.add(LABELS.name, spread(times[LABELS.name]), form="{:.3f}", unit=" s an epoch")
    section.add(LATER.name, spread(times[LATER.name]), form="{:.3f}", unit=" s, set-up included")
    more = len(bench.many.alphas) - 1
    alone = times[DISTILLED.name]
    shares = [100 * (all_ - one) / more / one for all_, one in zip(times[bench.many.name], alone, strict=True)]
    title = f"one more student (1 to {more + 1}), of a solo {DISTILLED.name}"
    section.add(title, spread(shares), form="{:.0f}", unit=" %", target=Target(30, " %", at_least=False))
    return section
