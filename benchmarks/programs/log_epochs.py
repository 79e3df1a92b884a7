"""The worker that logs what an epoch of a cohort of three gave, to the store that MLFLOW_TRACKING_URI names."""

import itertools
from collections.abc import Callable

from measuring.worker import Orders, Reply, serve

from kdflow import process


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    from measuring.fitting import one_epoch

    from kdflow.tracking import Run, quiet

    quiet()
    return {
        job.name: _round(
            [Run("benchmark", f"{job.name} {number}") for number in range(len(job.alphas) or 1)],
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
