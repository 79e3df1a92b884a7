"""The worker that logs what an epoch of a cohort of three gave, to the store that MLFLOW_TRACKING_URI names."""

import itertools
from collections.abc import Callable
from pathlib import Path

from measuring.worker import Orders, Reply, serve

from kdflow import process


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    from measuring.fitting import one_epoch

    from kdflow.journal import Journal
    from kdflow.tracking import Outbox, Run, quiet

    quiet()
    outbox = Outbox(Journal.begin(Path("runs"), "benchmark", {}))
    study = Run(outbox, "benchmark", "benchmark")
    return {
        job.name: _round(
            [Run(outbox, "student", f"{job.name} {number}", parent=study) for number in range(len(job.alphas) or 1)],
            one_epoch(job, orders).metrics,
        )
        for job in orders.jobs
    }


def _round(runs: list, metrics: list[dict[str, float]]) -> Callable[[], Reply]:
    epochs = itertools.count(1)

    def run() -> Reply:
        epoch = next(epochs)
        for one, values in zip(runs, metrics, strict=True):
            one.metrics(values, step=epoch)
        return {"metrics": sum(map(len, metrics))}

    return run


if __name__ == "__main__":
    process.prepare()
    serve(rounds)
