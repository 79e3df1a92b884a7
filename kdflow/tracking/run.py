"""One MLflow run while it is open."""

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.tracking.context.registry import resolve_tags

from kdflow import __version__
from kdflow.data import Dataset
from kdflow.options import Value, show
from kdflow.tracking.store import client, experiment_id, reported

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def data_tags(data: Dataset) -> dict[str, str]:
    """The tags by which runs and models of the same data and split are known."""
    return {"kdflow.data": data.name, "kdflow.data_digest": data.digest, "kdflow.split_digest": data.split_digest}


class Run:
    """A run that takes params, metrics and artifacts, and is closed by leaving its `with` block.

    It ends FINISHED at a clean exit, KILLED on Ctrl-C or a signal, FAILED on any other exception.

    Args:
        role: "teacher", "student", "study" or "compare".
        name: Shown in the MLflow UI.
        parent: The run in which this one is nested. Without one, a run that `mlflow run` has already made is used.
        tags: More tags.
    """

    @reported
    def __init__(
        self, role: str, name: str, *, parent: "Run | None" = None, tags: Mapping[str, str] | None = None
    ) -> None:
        own = {"kdflow.role": role, "kdflow.version": __version__, **(tags or {})}
        if parent:
            own |= {"mlflow.parentRunId": parent.id, "kdflow.study_id": parent.id}
        self.name = name
        self.id: str
        adopted = None if parent else os.environ.pop("MLFLOW_RUN_ID", None)
        if adopted:
            self.id = adopted
            client().update_run(adopted, name=name)
            self.tag(own)
        else:
            self.id = client().create_run(experiment_id(), run_name=name, tags=resolve_tags(own)).info.run_id
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt | SystemExit) else "FAILED")

    @reported
    def close(self, status: str) -> None:
        """Ends the run, once."""
        if not self._closed:
            client().set_terminated(self.id, status)
            self._closed = True

    @reported
    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        client().log_batch(self.id, tags=[RunTag(key, value) for key, value in tags.items()])

    @reported
    def params(self, params: Mapping[str, Value]) -> None:
        """Logs params, except those that `mlflow run` has already logged in its own spelling."""
        logged = client().get_run(self.id).data.params
        new = [Param(name, show(value)) for name, value in params.items() if name not in logged]
        client().log_batch(self.id, params=new)

    @reported
    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Logs metrics at a step: the epoch, from 1, or 0 for what has none."""
        now = int(time.time() * 1000)
        client().log_batch(self.id, metrics=[Metric(name, value, now, step) for name, value in metrics.items()])

    @reported
    def dataset(self, data: Dataset) -> None:
        """Logs which data the run saw, for each split."""
        source = json.dumps({"tags": {"kdflow.dataset": data.source}})
        inputs = []
        for context, split in (("train", data.train), ("validation", data.val), ("test", data.test)):
            profile = json.dumps({"images": len(split), "classes": len(data.classes), "split": data.split_digest})
            entity = DatasetEntity(f"{data.name}-{context}", data.digest, "code", source, profile=profile)
            inputs.append(DatasetInput(entity, tags=[InputTag("mlflow.data.context", context)]))
        client().log_inputs(self.id, datasets=inputs)

    @reported
    def figure(self, figure: "Figure", path: str) -> None:
        """Saves a matplotlib figure as an artifact."""
        client().log_figure(self.id, figure, path)

    @reported
    def text(self, text: str, path: str) -> None:
        """Saves a text as an artifact."""
        client().log_text(self.id, text, path)

    @reported
    def folder(self, folder: Path, path: str) -> None:
        """Saves all files of a folder as artifacts."""
        client().log_artifacts(self.id, str(folder), path)

    @reported
    def artifacts(self) -> str:
        """Where the run's artifacts lie: a folder, or an address."""
        return str(client().get_run(self.id).info.artifact_uri).removeprefix("file://")
