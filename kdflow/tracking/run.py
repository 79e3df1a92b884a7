"""One run of a command: what it logs is written into the command's journal, and told to the MLflow store from there."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from mlflow.tracking.context.registry import resolve_tags

from kdflow.common import files, process
from kdflow.common.signals import Stopped
from kdflow.common.text import redact
from kdflow.common.version import __version__
from kdflow.config.option import Value, show
from kdflow.data import Dataset
from kdflow.journal.entries import PARENT, TEACHER
from kdflow.journal.journal import Journal
from kdflow.tracking.client import client
from kdflow.tracking.descriptions import EXPERIMENT, shortened
from kdflow.tracking.experiments import chosen_experiment
from kdflow.tracking.outbox import Outbox
from kdflow.tracking.source import source_tags
from kdflow.tracking.surroundings import SIGNATURE_TAG, STUDY_TAG, Surroundings
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
def experiment_of(run: "Run") -> dict[str, str]:
    """The variable of the environment that sends other commands to the experiment of a run; none if no store has it."""
    if run.id == run.key:
        return {f"MLFLOW_EXPERIMENT_{kind.upper()}": value for kind, value in chosen_experiment().items()}
    return {"MLFLOW_EXPERIMENT_ID": client().get_run(run.id).info.experiment_id}


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
            own |= {PARENT: parent.key, STUDY_TAG: study or parent.key}
        elif study:
            own |= {PARENT: study, STUDY_TAG: study}
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

    def describe(self, texts: Mapping[str, str], *, teacher: str = "") -> None:
        """Describes the run and what belongs to it, in Markdown, unless it says so already or finished before.

        Args:
            texts: By what they describe: "run", "version" and "model" of what it registers, "experiment". The last two
                never take the place of what a user wrote; `descriptions.ADDRESS` stands for the version's address.
            teacher: The run that the texts name, if they name one.
        """
        if self.finished:
            return
        told = self._journal.texts(self.key)
        is_own = self.key == self._journal.key  # one run of a command describes the experiment
        short = {what: shortened(text) for what, text in texts.items() if is_own or what != EXPERIMENT}
        if new := {what: text for what, text in short.items() if told.get(what) != text}:
            self._write("describe", texts=new, tags={TEACHER: teacher} if teacher else {})

    def params(self, params: Mapping[str, Value]) -> None:
        """Logs params, once."""
        if not self._journal.of(self.key, "params"):
            self._write("params", params={name: show(value) for name, value in params.items()})

    def metrics(self, metrics: Mapping[str, float], *, step: int = 0, anew: bool = False) -> None:
        """Logs metrics at a step (the epoch, from 1, or 0 for what has none), each name and step once.

        Args:
            metrics: By name.
            step: Of all of them.
            anew: Log those again that have another value than before.
        """
        logged = {name: steps[step] for name, steps in self._journal.metrics(self.key).items() if step in steps}
        new = {name: value for name, value in metrics.items() if name not in logged or (anew and logged[name] != value)}
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
