"""The worker that logs what an epoch of a cohort of three gave, to the store that MLFLOW_TRACKING_URI names."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from measuring.worker import Orders, Reply, serve

from kdflow.common import process

if TYPE_CHECKING:
    from kdflow.tracking.outbox import Outbox


def rounds(orders: Orders) -> dict[str, Callable[[], Reply]]:
    from measuring.fitting import one_epoch

    from kdflow.journal.journal import Journal
    from kdflow.tracking.outbox import Outbox
    from kdflow.tracking.run import Run

    def nested(name: str) -> Run:
        return Run(outbox, "student", name, parent=study, signature=name)

    outbox = Outbox(Journal.begin(Path("runs"), "benchmark", {}))
    study = Run(outbox, "benchmark", "benchmark")
    return {
        job.name: _round(
            [nested(f"{number} {job.name}") for number in range(len(job.alphas) or 1)],
            one_epoch(job, orders).metrics,
            outbox,
        )
        for job in orders.jobs
    }


def _round(runs: list, metrics: list[dict[str, float]], outbox: "Outbox") -> Callable[[], Reply]:
    epochs = itertools.count(1)

    def run() -> Reply:
        epoch = next(epochs)
        for one, values in zip(runs, metrics, strict=True):
            one.metrics(values, step=epoch)
        if outbox.in_trouble:
            raise RuntimeError("the store was not told")
        return {"metrics": sum(map(len, metrics))}

    return run


if __name__ == "__main__":
    process.prepare()
    serve(rounds)
