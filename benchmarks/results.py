"""The table of docs/results.md: a study for each seed; mean and deviation over seeds, differences paired by seed.

python benchmarks/results.py --dataset images --seeds 0,1,2      # trains what the store lacks, then the table
"""

from collections import defaultdict

import click
from measuring.report import table
from measuring.stats import mean_and_deviation

from kdflow.analysis import selection
from kdflow.analysis.comparison import Comparison, Row
from kdflow.config import CompareConfig, StudyConfig, configure
from kdflow.config.option import show
from kdflow.experiments.study import run_study
from kdflow.tracking.store_runs import StoreRuns
from kdflow.training.identity import params

BASELINE = "alpha = 1"
FIGURES = ("train_accuracy", "val_accuracy", "test_accuracy")


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
        studies.append(_finished_study(config) or run_study(config))
    by_label: dict[str, dict[int, Row]] = defaultdict(dict)
    for comparison in studies:
        for row in comparison.rows:
            if row.seed in by_label[row.label]:
                raise click.ClickException(f"two runs are {row.label} with seed {row.seed}: compare them by hand")
            by_label[row.label][row.seed] = row
    print(f"\n{len(studies)} seeds: mean, standard deviation over seeds in brackets; accuracies in %.\n")
    rows = []
    for label, by_seed in by_label.items():
        cells = [mean_and_deviation([getattr(row, name) for row in by_seed.values()]) for name in FIGURES]
        baseline = by_label.get(BASELINE, {})
        gains = [row.test_accuracy - baseline[seed].test_accuracy for seed, row in by_seed.items() if seed in baseline]
        distilled = gains and label not in ("teacher", BASELINE)
        rows.append([label, *cells, mean_and_deviation(gains, sign="+") if distilled else ""])
    print(table(["run", "train", "validation", "test", f"test, minus {BASELINE} (paired by seed)"], rows))


def _finished_study(config: StudyConfig) -> Comparison | None:
    """The comparison of the newest finished study with these very settings, if there is one."""
    # Params say what auto and 0 came to mean, not what was asked for.
    settings = {name: show(value) for name, value in params(config).items() if value != "auto" and name != "threads"}
    for study in StoreRuns().runs("study"):
        if study.status == "FINISHED" and settings.items() <= study.params.items():
            children = [run for run in StoreRuns().runs("teacher") if run.tags.get("kdflow.study_id") == study.run_id]
            return selection.find(CompareConfig(teacher=children[0].run_id), StoreRuns())
    return None


if __name__ == "__main__":
    main()
