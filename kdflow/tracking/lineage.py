"""How the store ties things together: final metrics to the model and the images that they are of, students to teachers.

MLflow ranks models by their metrics on a data set (`search_logged_models(datasets=...)`) only where both are named.
"""

from collections.abc import Iterator
from typing import Any

from mlflow.entities import LoggedModel, LoggedModelInput, LoggedModelStatus, Metric

from kdflow.journal.journal import Journal
from kdflow.tracking.client import client, every_page

CONTEXTS = {"train": "final/train_", "validation": "final/val_", "test": "final/test_"}
"""Of the data sets of a run, how the final metrics on each of them begin."""


def logged_model(run_id: str) -> str | None:
    """The id of the exported program that a run has logged already, to its end; None if there is none."""
    return next((str(one.model_id) for one in _logged(run_id) if one.status == LoggedModelStatus.READY), None)


def drop_unfinished(run_id: str) -> None:
    """Deletes what a run has begun to log as its exported program, and not ended."""
    for one in _logged(run_id):
        if one.status != LoggedModelStatus.READY:
            client().delete_logged_model(one.model_id)


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
    if known := logged_model(teacher):
        client().log_inputs(run_id, models=[LoggedModelInput(known)])


def _logged(run_id: str) -> Iterator[LoggedModel]:
    experiment = client().get_run(run_id).info.experiment_id
    asked = f"source_run_id = '{run_id}'"
    return every_page(lambda token: client().search_logged_models([experiment], asked, page_token=token))


def _scored(key: str, journal: Journal) -> Iterator[dict[str, Any]]:
    """The final metrics with their data sets; as of the same time and step, they are no second value of the run."""
    datasets = {one["context"]: one for entry in journal.of(key, "inputs") for one in entry["datasets"]}
    for entry in journal.of(key, "metrics"):
        for name, value in entry["metrics"].items():
            for context, begin in CONTEXTS.items():
                if name.startswith(begin) and context in datasets:
                    on = {"dataset_name": datasets[context]["name"], "dataset_digest": datasets[context]["digest"]}
                    yield {"key": name, "value": value, "timestamp": entry["time"], "step": entry["step"], **on}
