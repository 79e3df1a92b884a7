"""What exact arithmetic costs: kdflow by default settings against float32, deterministic."""

from dataclasses import replace

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section
from measuring.stats import paired_ratio, spread
from measuring.worker import Worker, seconds


def exact(bench: Bench) -> Section:
    """Seconds an epoch of the sample, and the ratio."""
    jobs = {False: (TEACHER, THREE), True: tuple(replace(job, exact=True) for job in (TEACHER, THREE))}
    with Worker("engine", bench.orders(*jobs[False])) as fast, Worker("engine", bench.orders(*jobs[True])) as slow:
        workers = {"fast": fast, "exact": slow}
        lanes = {f"{job.name}, {kind}": (worker, job.name) for kind, worker in workers.items() for job in jobs[False]}
        replies = bench.run({f"kdflow, {kind}": worker for kind, worker in workers.items()}, lanes)
    section = Section(f"Exact arithmetic ({fast.about['runtime']} against {slow.about['runtime']})", MEASURED)
    for job in jobs[False]:
        times = {kind: seconds(replies[f"{job.name}, {kind}"]) for kind in workers}
        for kind, each in times.items():
            section.add(f"{job.name}, {kind}", spread(each), form="{:.3f}", unit=" s")
        section.add(f"{job.name}: fast against exact", paired_ratio(times["exact"], times["fast"]), unit=" times")
    return section
