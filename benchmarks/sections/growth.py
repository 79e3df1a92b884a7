"""How time and memory grow with images, epochs and threads. (With students: the cohorts of another section.)"""

import os
from contextlib import ExitStack

from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import paired_ratio, spread
from measuring.worker import Job, Reply, Worker, seconds

STEPS = 5


def growth(bench: Bench) -> Section:
    """Each series against its first; linear growth doubles."""
    section = Section("Growth", MEASURED)
    sizes = [Job(f"{share}", alphas=THREE.alphas, images=bench.train // share) for share in (4, 2, 1)]
    part = bench.train // 4
    lengths = [Job(_count(count, "epoch"), alphas=THREE.alphas, images=part, epochs=count) for count in (1, 2, 4)]
    threads = [Job(_count(count, "thread"), images=part, threads=count) for count in _thread_counts()]
    with ExitStack() as started:
        # A process for each size, whose peak memory is then that size's.
        by_size = {job: started.enter_context(Worker("engine", bench.orders(job))) for job in sizes}
        rest = started.enter_context(Worker("engine", bench.orders(*lengths, *threads)))
        workers = {f"a worker for {job.images:,} images": worker for job, worker in by_size.items()}
        lanes = {job.name: (worker, job.name) for job, worker in by_size.items()}
        lanes |= {job.name: (rest, job.name) for job in (*lengths, *threads)}
        replies = bench.run({**workers, "a worker for the rest": rest}, lanes)
    _add_series(section, replies, {job.name: f"three students, {job.images:,} images" for job in sizes})
    _add_series(section, replies, {job.name: f"three students, a training of {job.name}" for job in lengths})
    _add_series(section, replies, {job.name: f"{TEACHER.name}, {job.name}" for job in threads})
    for job in sizes:
        peaks = seconds(replies[job.name], "peak_rss_mib")[-1:]
        section.add(f"peak memory, {job.images:,} images", spread(peaks), form="{:,.0f}", unit=" MiB")
    _add_memory(section, bench)
    return section


def _add_series(section: Section, replies: dict[str, list[Reply]], titles: dict[str, str]) -> None:
    first = next(iter(titles))
    for name, title in titles.items():
        section.add(title, spread(seconds(replies[name])), form="{:.3f}", unit=" s")
        if name != first:
            ratio = paired_ratio(seconds(replies[name]), seconds(replies[first]))
            section.add(f"that, over {titles[first]}", ratio, unit=" times")


def _add_memory(section: Section, bench: Bench) -> None:
    """Peak memory of a process that trains on the whole data set; some steps show it."""
    for job in (Job("teacher", steps=STEPS), Job("three students", alphas=THREE.alphas, steps=STEPS)):
        with Worker("engine", bench.orders(job, sample=bench.whole)) as worker:
            worker.wait_ready()
            reply = worker.round(job.name)
        title = f"peak memory on all of {os.path.basename(bench.dataset)}, {job.name}"
        target = Target(2048, " MiB", at_least=False)
        section.add(title, spread([reply["peak_rss_mib"]]), form="{:,.0f}", unit=" MiB", target=target)
        if "peak_gpu_mib" in reply:
            section.add(f"{title}, on the GPU", spread([reply["peak_gpu_mib"]]), form="{:,.0f}", unit=" MiB")


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count > 1)}"


def _thread_counts() -> list[int]:
    return [1, 2] if (os.cpu_count() or 1) > 1 else [1]
