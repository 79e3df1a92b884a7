"""How near a step comes to what the machine can do at all."""

import os

from measuring.arithmetic import Work, step_work
from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import Job, Reply, Worker

from kdflow.config import STUDENT_RECIPE

NOTE = (
    "The floor of a step is the longer of two times: its arithmetic (torch's FLOP counter) at the fastest convolution "
    "measured in the same round, and its least memory traffic at the bandwidth of a large copy. The traffic counts, "
    "for every layer but ReLU and dropout, input read and output written, in backward the output's gradient and the "
    "input read and the input's gradient written, and 28 bytes a weight for clipping and the optimiser. Reading "
    "the labels and the loss is left out; caches can only help, so the true floor may be lower."
)


def floor(bench: Bench) -> Section:
    """Peaks of the machine, and the share of them that a step reaches."""
    jobs = (TEACHER, THREE)
    with Worker("engine", bench.orders(*jobs)) as engine:
        about = engine.wait_ready().about
        threads = sorted({1, about["threads"], os.cpu_count() or 1})
        peaks = {count: Job(f"{count} thread{'s' * (count > 1)}", threads=count) for count in threads}
        with Worker("limits", bench.orders(*peaks.values())) as limits:
            lanes = {job.name: (engine, job.name) for job in jobs} | {
                job.name: (limits, job.name) for job in peaks.values()
            }
            replies = bench.run({"the peaks": limits}, lanes)
    section = Section(f"The floor ({about['runtime']})", MEASURED, notes=[NOTE])
    for job in peaks.values():
        for kind in ("product fp32", "product bf16", "convolution fp32", "convolution bf16", "copy"):
            best = spread([_fastest(reply, kind) for reply in replies[job.name]])
            unit = " GB/s" if kind == "copy" else " GFLOP/s"
            section.add(f"fastest {kind}, {job.name}", best, form="{:.0f}", unit=unit)
    kind = "bf16" if "bf16" in about["runtime"] else "fp32"
    for job in jobs:
        work = step_work(
            job.alphas,
            classes=10,
            batch_size=STUDENT_RECIPE.batch_size,
            bytes_each=2 if kind == "bf16" else 4,
        )
        _add_step(section, job.name, work, replies[job.name], replies[peaks[about["threads"]].name], kind)
    return section


def _add_step(section: Section, name: str, work: Work, steps: list[Reply], peaks: list[Reply], kind: str) -> None:
    times = [step["training_seconds"] / step["steps"] for step in steps]
    floors = [
        work.floor_seconds(1e9 * _fastest(peak, f"convolution {kind}"), 1e9 * _fastest(peak, "copy")) for peak in peaks
    ]
    each = f"a step of the {name}" if name == TEACHER.name else f"a step of {name}"
    section.add(f"{each}: time", spread([1000 * time for time in times]), unit=" ms")
    section.add(f"{each}: floor", spread([1000 * floor for floor in floors]), unit=" ms")
    section.add(f"{each}: reached", spread([work.flops / time / 1e9 for time in times]), form="{:.0f}", unit=" GFLOP/s")
    section.add(f"{each}: moved at the least", spread([work.bytes / 2**20]), form="{:.0f}", unit=" MiB")
    share = spread([100 * floor / time for floor, time in zip(floors, times, strict=True)])
    target = Target(60, " %") if name == TEACHER.name else None
    section.add(f"{each}: of the floor's speed", share, form="{:.0f}", unit=" %", target=target)


def _fastest(reply: Reply, kind: str) -> float:
    return max(rate for name, rate in reply["rates"].items() if name.startswith(kind))
