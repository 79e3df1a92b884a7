"""How the store ties things together: final metrics to the model and the images that they are of, students to teachers.

MLflow ranks models by their metrics on a data set (`search_logged_models(datasets=...)`) only where both are named.
"""

from collections.abc import Iterator
from typing import Any

from mlflow.entities import LoggedModelInput, LoggedModelStatus, Metric

from kdflow.journal.journal import Journal
from kdflow.tracking.client import client

CONTEXTS = {"train": "final/train_", "validation": "final/val_", "test": "final/test_"}
"""Of the data sets of a run, how the final metrics on each of them begin."""


def logged_model(run_id: str) -> str | None:
    """The id of the exported program that a run has logged already; one that was not logged to its end is deleted."""
    experiment = client().get_run(run_id).info.experiment_id
    whole = None
    for logged in client().search_logged_models([experiment], f"source_run_id = '{run_id}'"):
        if logged.status == LoggedModelStatus.READY:
            whole = str(logged.model_id)
        else:
            client().delete_logged_model(logged.model_id)
    return whole


def tie_metrics(key: str, journal: Journal) -> None:
    """Names the logged model and the data set of a run's final metrics, which the run has already.

    Args:
        key: Of the run.
        journal: That has it.
    """
    run_id = journal.ids[key]
    if (scored := list(_scored(key, journal))) and (model := logged_model(run_id)):
        client().log_batch(run_id, metrics=[Metric(**one, model_id=model) for one in scored])


def taught_by(run_id: str, teacher: str) -> None:
    """Makes the teacher's logged model an input of a student's run, where the store has it.

    Args:
        run_id: Of the student.
        teacher: Run id of the teacher.
    """
    versions = client().search_model_versions(f"run_id = '{teacher}'")
    if known := next((one.model_id for one in versions if one.model_id), None):
        client().log_inputs(run_id, models=[LoggedModelInput(known)])


def _scored(key: str, journal: Journal) -> Iterator[dict[str, Any]]:
    """The final metrics with their data sets; as of the same time and step, they are no second value of the run."""
    datasets = {one["context"]: one for entry in journal.of(key, "inputs") for one in entry["datasets"]}
    for entry in journal.of(key, "metrics"):
        for name, value in entry["metrics"].items():
            for context, begin in CONTEXTS.items():
                if name.startswith(begin) and context in datasets:
                    on = {"dataset_name": datasets[context]["name"], "dataset_digest": datasets[context]["digest"]}
                    yield {"key": name, "value": value, "timestamp": entry["time"], "step": entry["step"], **on}
