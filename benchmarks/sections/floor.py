"""How near a step comes to what the machine can do at all."""

from measuring.arithmetic import step_work
from measuring.context import TEACHER, THREE, Bench
from measuring.report import MEASURED, Section, Target
from measuring.stats import spread
from measuring.worker import Job

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
    engine, peaks = bench.worker("engine", TEACHER, THREE), Job("peaks")
    found = bench.measure({"kdflow": engine, "the peaks": bench.worker("limits", peaks)})
    limits, runtime = found["the peaks"][peaks.name], engine.about["runtime"]
    section = Section(f"The floor ({runtime})", MEASURED, notes=[NOTE])
    flops, copied = ([one[name] / 1e9 for one in limits] for name in ("flops_per_second", "bytes_per_second"))
    section.add("fastest convolution", spread(flops), form="{:.0f}", unit=" GFLOP/s")
    section.add("copy, read and written", spread(copied), form="{:.0f}", unit=" GB/s")
    for job in (TEACHER, THREE):
        work = step_work(
            job.alphas, classes=10, batch_size=STUDENT_RECIPE.batch_size, bytes_each=2 if "bf16" in runtime else 4
        )
        times = [step["training_seconds"] / step["steps"] for step in found["kdflow"][job.name]]
        floors = [work.floor_seconds(peak["flops_per_second"], peak["bytes_per_second"]) for peak in limits]
        each = f"a step of {'the ' * (job == TEACHER)}{job.name}"
        section.add(f"{each}: time", spread([1000 * time for time in times]), unit=" ms")
        section.add(f"{each}: floor", spread([1000 * floor for floor in floors]), unit=" ms")
        share = spread([100 * floor / time for floor, time in zip(floors, times, strict=True)])
        target = Target(60, " %") if job == TEACHER else None
        section.add(f"{each}: of the floor's speed", share, form="{:.0f}", unit=" %", target=target)
    return section
