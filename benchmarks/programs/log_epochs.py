"""The worker that logs what an epoch of a cohort gave, to the store that MLFLOW_TRACKING_URI names."""

import itertools

from measuring.worker import Job, Orders, Reply, Round, serve

from kdflow.common import process


def rounds(orders: Orders) -> dict[str, Round]:
    # Only now torch, which reads what `prepare` settled.
    from measuring.fitting import one_epoch

    from kdflow.journal.journal import Journal
    from kdflow.tracking.outbox import Outbox
    from kdflow.tracking.run import Run

    outbox = Outbox(Journal.begin(orders.sample.parent / "runs", "benchmark", {}))
    study, numbers = Run(outbox, "benchmark", "benchmark"), itertools.count()

    def student() -> Run:
        name = f"{next(numbers)}"
        return Run(outbox, "student", name, parent=study, signature=name)

    def logging(job: Job) -> Round:
        metrics, epochs = one_epoch(job, orders).metrics, itertools.count(1)
        runs = [student() for _ in metrics]

        def run() -> Reply:
            epoch = next(epochs)
            for one, values in zip(runs, metrics, strict=True):
                one.metrics(values, step=epoch)
            if outbox.in_trouble:
                raise RuntimeError("the store was not told")
            return {}

        return run

    return {job.name: logging(job) for job in orders.jobs}


if __name__ == "__main__":
    process.prepare()
    serve(rounds)
