"""One run of a command: what it logs is written into the command's journal, and told to the MLflow store from there."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlflow.entities import RunTag
from mlflow.tracking.context.registry import resolve_tags

from kdflow.common import files, process
from kdflow.common.errors import KdflowError
from kdflow.common.signals import Stopped
from kdflow.common.text import redact
from kdflow.common.version import __version__
from kdflow.config.option import Value, show
from kdflow.data import Dataset
from kdflow.journal.journal import Journal
from kdflow.tracking.client import client
from kdflow.tracking.experiments import chosen_experiment
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.presence import require_same_store
from kdflow.tracking.source import source_tags
from kdflow.tracking.surroundings import SIGNATURE_TAG, STUDY_TAG, Surroundings, is_made_for_nothing, is_named_by_user
from kdflow.tracking.trouble import reported

if TYPE_CHECKING:
    from kdflow.device.runtime import Runtime


def data_tags(data: Dataset) -> dict[str, str]:
    """The tags by which runs and models of the same data and split are known."""
    return {"kdflow.data": data.name, "kdflow.data_digest": data.digest, "kdflow.split_digest": data.split_digest}


def settled_tags(runtime: "Runtime") -> dict[str, str]:
    """The tags that say on what a run computed; where `mlflow run` made the params, those may say `auto` or 0."""
    return {f"kdflow.{name}": show(value) for name, value in runtime.settled.items()}


@reported
def reopen(journal: Journal) -> None:
    """Makes sure that a run can be gone on with, and says in the run that `mlflow run` made for this what it does.

    Any other run that the environment names is left as it is.

    Raises:
        KdflowError: the run is deleted.
        TrackingError: the store cannot be used, or does not know the run.
    """
    require_same_store(journal.ids.values(), journal.started["store"])
    if journal.key in journal.ids and client().get_run(journal.id).info.lifecycle_stage != "active":
        raise KdflowError(f"run {journal.id} is deleted; restore it with `mlflow runs restore --run-id {journal.id}`")
    _point("resume", journal.id, "kdflow.resumes")


@reported
def give_way(run_id: str) -> None:
    """Says in the run that `mlflow run` made for a command which run is taken in its place.

    Raises:
        TrackingError: the store cannot be used.
    """
    _point("reuse", run_id, "kdflow.reuses")


@reported
def experiment_of(run: "Run") -> dict[str, str]:
    """The variable of the environment that sends other commands to the experiment of a run; none if no store has it."""
    if run.id == run.key:
        return {f"MLFLOW_EXPERIMENT_{kind.upper()}": value for kind, value in chosen_experiment().items()}
    return {"MLFLOW_EXPERIMENT_ID": client().get_run(run.id).info.experiment_id}


def _point(role: str, run_id: str, tag: str) -> None:
    if (made := os.environ.pop("MLFLOW_RUN_ID", "")) and is_made_for_nothing(run := client().get_run(made)):
        if not is_named_by_user(run):
            client().update_run(made, name=f"{role} {run_id}")
        tags = {"kdflow.role": role, tag: run_id, "kdflow.process": process.identity()}
        client().log_batch(made, tags=[RunTag(name, value) for name, value in tags.items()])


class Run:
    """A run that takes params, metrics and artifacts, and is closed by leaving its `with` block.

    It ends FINISHED at a clean exit, KILLED on Ctrl-C or a signal, FAILED on any other exception. A run that the
    journal knows already is opened again.

    Args:
        outbox: Of the command.
        role: "teacher", "student", "study" or "compare".
        name: Shown in the MLflow UI.
        parent: The run of the same command in which this one is nested. Without one, this is the command's own run,
            which finds what `Surroundings` says.
        tags: More tags.
        signature: What it is known by among the runs of its command (see `kdflow.training.identity`).
    """

    def __init__(
        self,
        outbox: Outbox,
        role: str,
        name: str,
        *,
        parent: "Run | None" = None,
        tags: Mapping[str, str] | None = None,
        signature: str = "",
    ) -> None:
        self.name = name
        known = f"{role}-{signature[:12]}" if signature else role
        self.key: str = f"{parent.key}/{known}" if parent else outbox.journal.key
        self._outbox = outbox
        alive = {"kdflow.process": process.identity()}
        if self.finished:
            return
        if self._journal.status(self.key):
            self.tag(alive)  # first, or `kdflow doctor` would find a run of a dead process open
            self._write("status", status="RUNNING")
            return
        own = {"kdflow.role": role, "kdflow.version": __version__, **alive, **(tags or {})}
        own |= {SIGNATURE_TAG: signature} if signature else {}
        study = outbox.around.study
        if parent:
            own |= {"mlflow.parentRunId": parent.key, STUDY_TAG: study or parent.key}
        elif study:
            own |= {"mlflow.parentRunId": study, STUDY_TAG: study}
        around = Surroundings() if parent else outbox.around
        if around.named:
            os.environ.pop("MLFLOW_RUN_ID", None)  # as MLflow itself does: what else is begun here is another run
        # A run that `mlflow run` made has been told already where it comes from.
        made = {tag: redact(value) for tag, value in resolve_tags({}).items()} | source_tags()
        self._write("create", name=name, tags=own, made=made, around=asdict(around), experiment=chosen_experiment())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self.close("FINISHED")
        else:
            self.close("KILLED" if issubclass(kind, KeyboardInterrupt | SystemExit | Stopped) else "FAILED")

    @property
    def id(self) -> str:
        """The id that the store gave the run, or its key until then."""
        return self._journal.id_of(self.key)

    @property
    def address(self) -> str:
        """Of its registered model version, such as "models:/kdflow-student-digits/3"; empty until the store has it."""
        return self._journal.addresses.get(self.key, "")

    @property
    def finished(self) -> bool:
        """Whether it ended well, now or before the command was stopped."""
        return self._journal.status(self.key) == "FINISHED"

    @property
    def scores(self) -> dict[str, float]:
        """Its `final/` metrics."""
        logged = self._journal.metrics(self.key)
        return {name: steps[0] for name, steps in logged.items() if name.startswith("final/")}

    @property
    def artifacts(self) -> Path:
        """The folder in which the run keeps what it will give to the store."""
        folder = self._journal.artifacts(self.key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self, status: str) -> None:
        """Ends the run, once."""
        if self._journal.status(self.key) == "RUNNING":
            self._write("status", status=status)

    def tag(self, tags: Mapping[str, str]) -> None:
        """Sets tags."""
        self._write("tags", tags=dict(tags))

    def params(self, params: Mapping[str, Value]) -> None:
        """Logs params, once."""
        if not self._journal.of(self.key, "params"):
            self._write("params", params={name: show(value) for name, value in params.items()})

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Logs metrics at a step (the epoch, from 1, or 0 for what has none), each name and step once."""
        logged = self._journal.metrics(self.key)
        new = {name: value for name, value in metrics.items() if step not in logged.get(name, {})}
        if new:
            self._write("metrics", metrics=new, step=step)

    def history(self, names: tuple[str, ...]) -> dict[str, list[float]]:
        """What was logged by epoch, of the metrics that were."""
        return self._journal.history(self.key, names)

    def dataset(self, data: Dataset) -> None:
        """Logs which data the run saw, for each split."""
        if self._journal.of(self.key, "inputs"):
            return
        source = json.dumps({"tags": {"kdflow.dataset": data.source}})
        datasets = []
        for context, split in (("train", data.train), ("validation", data.val), ("test", data.test)):
            profile = json.dumps({"images": len(split), "classes": len(data.classes), "split": data.split_digest})
            name = f"{data.name}-{context}"
            datasets.append(
                {"name": name, "digest": data.digest, "source": source, "profile": profile, "context": context}
            )
        self._write("inputs", datasets=datasets)

    def file(self, content: bytes, name: str) -> None:
        """Saves a file as an artifact; a run that finished before keeps the one that it has."""
        if not self.finished:
            self._file(name, content)

    def text(self, text: str, name: str) -> None:
        """Saves a text as an artifact; a run that finished before keeps the one that it has."""
        self.file(text.encode(), name)

    def artifact(self, name: str) -> None:
        """Gives a file or folder in `artifacts` to the store."""
        self._write("artifact", path=str((self.artifacts / name).relative_to(self._journal.folder)))

    def register(self, model: str, weights: str, tags: Mapping[str, Value]) -> None:
        """Registers the model whose weights and card lie in a folder of `artifacts`, once.

        Args:
            model: Name under which it goes, such as "kdflow-student-digits".
            weights: The folder.
            tags: Of the version, `val_accuracy` among them.
        """
        if not self._journal.of(self.key, "register"):
            path = str((self.artifacts / weights).relative_to(self._journal.folder))
            self._write("register", model=model, weights=path, tags={key: show(value) for key, value in tags.items()})

    def _file(self, name: str, content: bytes) -> None:
        files.write(self.artifacts / name, content)
        self.artifact(name)

    @property
    def _journal(self) -> Journal:
        return self._outbox.journal

    def _write(self, kind: str, **facts: object) -> None:
        self._outbox.write(kind, self.key, **facts)
