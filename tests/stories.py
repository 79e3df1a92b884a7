"""What runs tell of themselves in the store, without what may differ between two that should be equal."""

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mlflow import MlflowClient

INCIDENTAL = ("runs_dir", "mlflow.user")


def story(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """All that must not depend on interruptions; each metric has each step once."""
    run = client.get_run(run_id)
    history = {name: client.get_metric_history(run_id, name) for name in run.data.metrics}
    steps = {name: sorted(metric.step for metric in logged) for name, logged in history.items()}
    assert all(len(set(logged)) == len(logged) for logged in steps.values()), f"a step was logged twice: {steps}"
    models = client.search_logged_models([run.info.experiment_id], f"source_run_id = '{run_id}'")
    return {
        "status": run.info.status,
        "name": run.info.run_name.partition(" teacher=")[0],
        "params": {name: value for name, value in run.data.params.items() if name != "teacher_run_id"},
        "tags": {name for name in run.data.tags if name not in INCIDENTAL},
        "steps": steps,
        "metrics": {
            name: sorted((metric.step, metric.value) for metric in logged)
            for name, logged in history.items()
            if not name.startswith("speed/")
        },
        "inputs": len(run.inputs.dataset_inputs),
        "models": [str(model.status) for model in models],
        "versions": len(client.search_model_versions(f"run_id = '{run_id}'")),
        "artifacts": sorted(item.path for item in client.list_artifacts(run_id)),
    }


def weights(client: MlflowClient, run_id: str) -> dict[str, Any]:
    """The weights that a run gave to the store."""
    from kdflow.models.weights import read_weights

    with TemporaryDirectory() as folder:
        return read_weights(Path(client.download_artifacts(run_id, "weights", folder)))


def require_equal(client: MlflowClient, run_id: str, other: str, whose: MlflowClient | None = None) -> None:
    """Holds two runs to be equal: all that they tell, and their weights to the last bit."""
    import torch

    assert story(client, run_id) == story(whose or client, other)
    ours, theirs = weights(client, run_id), weights(whose or client, other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def table(runs_dir: Path) -> list[dict[str, str]]:
    """The comparison of the one study in a folder, without the ids of runs."""
    (found,) = runs_dir.glob("study-*/artifacts/comparison.csv")
    rows = list(csv.DictReader(io.StringIO(found.read_text())))
    return [{name: value for name, value in row.items() if name != "run_id"} for row in rows]
