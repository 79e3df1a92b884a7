"""How the students' recipe was chosen: validation accuracy over seeds for each batch size, learning rate and clipping.

    python benchmarks/defaults.py --dataset digits --seeds 10

A student is called lost if it ends below half of its teacher's validation accuracy, the mark of a run that large early
gradients killed. The test split is not read.
"""

import itertools
import statistics
from dataclasses import replace

import click
from measuring import cohorts

from kdflow.config import STUDENT_RECIPE, TEACHER_RECIPE, DataConfig, Recipe, RuntimeConfig
from kdflow.data import Dataset, load
from kdflow.device.runtime import Runtime, resolve
from kdflow.teachers.frozen import Frozen
from kdflow.training.loop import fit

ALPHAS = (1.0, 0.5, 0.0)


@click.command()
@click.option("--dataset", default="digits", show_default=True)
@click.option("--seeds", default=10, show_default=True)
@click.option("--batch-sizes", default="64,128", show_default=True)
@click.option("--lrs", default="0.05,0.1", show_default=True)
@click.option("--clip-norms", default="0,2,5", show_default=True, help="0 does not clip.")
@click.option("--threads", default=0, show_default=True)
def main(dataset: str, seeds: int, batch_sizes: str, lrs: str, clip_norms: str, threads: int) -> None:
    """Prints a markdown table, one row a recipe."""
    data = load(DataConfig(dataset=dataset))
    runtimes = [resolve(RuntimeConfig(seed=seed, threads=threads)) for seed in range(seeds)]
    teachers = [_teacher(data, runtime) for runtime in runtimes]
    print("| batch | lr | clip | " + " | ".join(f"alpha = {alpha:g}" for alpha in ALPHAS) + " | lowest | lost |")
    print("|---|---|---|" + "---|" * (len(ALPHAS) + 2))
    grid = itertools.product(batch_sizes.split(","), lrs.split(","), clip_norms.split(","))
    for batch_size, lr, clip_norm in grid:
        recipe = replace(STUDENT_RECIPE, batch_size=int(batch_size), lr=float(lr), clip_norm=float(clip_norm))
        accuracies, lost = [], 0
        for runtime, (teacher, teacher_accuracy) in zip(runtimes, teachers, strict=True):
            accuracies.append(_students(data, recipe, teacher, runtime))
            lost += sum(accuracy < teacher_accuracy / 2 for accuracy in accuracies[-1])
        means = [f"{100 * statistics.mean(column):.1f}" for column in zip(*accuracies, strict=True)]
        lowest = 100 * min(itertools.chain(*accuracies))
        print(f"| {batch_size} | {lr} | {clip_norm} | {' | '.join(means)} | {lowest:.1f} | {lost} |", flush=True)


def _teacher(data: Dataset, runtime: Runtime) -> tuple[Frozen, float]:
    member = cohorts.teacher(len(data.classes), seed=runtime.seed)
    *_, last = fit([member], data, TEACHER_RECIPE, runtime=runtime)
    return Frozen(member.model), last.metrics[0]["val/accuracy"]


def _students(data: Dataset, recipe: Recipe, teacher: Frozen, runtime: Runtime) -> list[float]:
    cohort = cohorts.students(len(data.classes), ALPHAS, seed=runtime.seed)
    *_, last = fit(cohort, data, recipe, runtime=runtime, teacher=teacher)
    return [metrics["val/accuracy"] for metrics in last.metrics]


if __name__ == "__main__":
    main()
