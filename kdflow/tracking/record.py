"""A run as it is read back."""

from dataclasses import dataclass

EVERY_EPOCH = "train/loss"
"""A metric that each epoch of a training run logs."""
WEIGHTS_FOLDER = "weights"
"""The artifact that holds the weights and card of a training run."""


@dataclass(frozen=True)
class Record:
    """A run as the store has it, or as its journal will tell it.

    Attributes:
        run_id: Of MLflow; the run's key where no store has it yet.
        status: FINISHED, RUNNING, FAILED, KILLED or SCHEDULED.
        started: Milliseconds since 1970.
        params: Texts, as logged; quotes that `mlflow run` puts around a value are taken off.
        metrics: Last values.
        tags: All tags.
        trained: How many epochs were logged.
        ended: Milliseconds since 1970; 0 while it runs.
    """

    run_id: str
    status: str
    started: int
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    trained: int
    ended: int = 0
