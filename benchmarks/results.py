"""The README's results: a study for each seed, then mean and deviation over the seeds, differences paired by seed.

python benchmarks/results.py --dataset ../shared/images --seeds 0,1,2      # trains what the store lacks, then the table
"""

import statistics
from collections import defaultdict
from pathlib import Path

import click

from kdflow import compare, tracking
from kdflow.config import CompareConfig, StudyConfig, configure
from kdflow.rows import Row
from kdflow.study import run_study


@click.command()
@click.option("--dataset", default="digits", show_default=True, help="Data set, as for `kdflow study`.")
@click.option("--seeds", default="0,1,2", show_default=True, help="Seeds of the studies.")
@click.option("--temperatures", default="1,4", show_default=True, help="Temperatures of the distilled students.")
@click.option("--threads", default="0", show_default=True, help="CPU threads.")
def main(dataset: str, seeds: str, temperatures: str, threads: str) -> None:
    """Trains a study for each seed that the store lacks and prints the table as markdown."""
    studies = []
    for seed in seeds.split(","):
        config = configure(StudyConfig(), dataset=dataset, seed=seed, temperatures=temperatures, threads=threads)
        teacher = _finished_teacher(dataset, config.runtime.seed)
        studies.append(compare.find(CompareConfig(teacher=teacher)) if teacher else run_study(config))
    by_label: dict[str, dict[int, Row]] = defaultdict(dict)
    for comparison in studies:
        for row in comparison.rows:
            by_label[row.label][row.seed] = row
    print(f"\n{len(studies)} seeds: mean, standard deviation over seeds in brackets; accuracies in %.\n")
    print("| run | train | validation | test | test, minus alpha = 1 (paired by seed) |\n|---|---|---|---|---|")
    for label, rows in by_label.items():
        cells = [_spread([getattr(row, name) for row in rows.values()]) for name in FIGURES]
        baseline = by_label.get("alpha = 1", {})
        gains = [row.test_accuracy - baseline[seed].test_accuracy for seed, row in rows.items() if seed in baseline]
        distilled = label not in ("teacher", "alpha = 1")
        print(f"| {label} | {' | '.join(cells)} | {_spread(gains, sign='+') if distilled else ''} |")


FIGURES = ("train_accuracy", "val_accuracy", "test_accuracy")


def _finished_teacher(dataset: str, seed: int) -> str | None:
    name = Path(dataset).resolve().name
    for record in tracking.training_runs():
        is_teacher = record.tags["kdflow.role"] == "teacher" and record.status == "FINISHED"
        if is_teacher and record.tags["kdflow.data"] == name and int(record.params["seed"]) == seed:
            return record.run_id
    return None


def _spread(fractions: list[float], *, sign: str = "") -> str:
    mean = f"{100 * statistics.mean(fractions):{sign}.2f}"
    return f"{mean} ({100 * statistics.stdev(fractions):.2f})" if len(fractions) > 1 else mean


if __name__ == "__main__":
    main()
