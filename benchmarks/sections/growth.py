"""What more threads gain, and what all images of a data set need of memory."""

import os
from pathlib import Path

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import paired_ratio, spread
from measuring.worker import Orders, Worker, seconds


def growth(bench: Bench) -> Section:
    """Seconds of the teacher's epoch on one thread and on two, and peak memory of an epoch of the whole data set."""
    section = Section("Growth", MEASURED)
    threads = [1, 2] if (os.cpu_count() or 1) > 1 else [1]
    workers = {f"{count} thread{'s' * (count > 1)}": count for count in threads}
    found = bench.measure({name: bench.worker("engine", TEACHER, threads=count) for name, count in workers.items()})
    times = {name: seconds(jobs[TEACHER.name]) for name, jobs in found.items()}
    for name, each in times.items():
        section.add(f"teacher, {name}", spread(each), form="{:.3f}", unit=" s")
    one, *more = times.values()
    for two in more:
        section.add("two threads against one", paired_ratio(one, two), unit=" times as fast")
    for job in (TEACHER, THREE):
        bench.say(f"an epoch of all images, {job.name}")
        with Worker("engine", Orders(bench.whole, bench.device, (job,))) as worker:
            about = worker.wait_ready().about
        title = f"peak memory on all of {Path(bench.dataset).name}, {job.name}"
        target = Target(2048, " MiB", at_least=False)
        section.add(title, spread([about["peak_rss_mib"]]), form="{:,.0f}", unit=" MiB", target=target)
        if "peak_gpu_mib" in about:
            section.add(f"{title}, on the GPU", spread([about["peak_gpu_mib"]]), form="{:,.0f}", unit=" MiB")
    return section
