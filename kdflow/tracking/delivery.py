"""How an entry of a journal becomes part of the MLflow store. Told twice, each has the effect of told once."""

from collections.abc import Callable

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from kdflow.entries import Entry
from kdflow.journal import Journal
from kdflow.run_folders import KEY
from kdflow.tracking.models import register
from kdflow.tracking.store import client, experiment_id
from kdflow.tracking.surroundings import KEY_TAG, Surroundings, claimed, is_named_by_user, parent_of

# Tags and params whose values are runs: keys of journals until the store has given them ids.
RUN_TAGS = ("mlflow.parentRunId", "kdflow.study_id", "kdflow.teacher_run_id", "teacher_run_id")


def deliver(entry: Entry, journal: Journal) -> None:
    """Tells the store one entry; what the store answers is kept in the journal's ids and addresses."""
    _DELIVERIES[entry["kind"]](entry, journal)


def _create(entry: Entry, journal: Journal) -> None:
    """Makes a run, or takes the one that `mlflow run` made for the command; a name that somebody chose stays."""
    key, name = entry["run"], entry["name"]
    tags = {name: _translated(name, value, journal) for name, value in entry["tags"].items()} | {KEY_TAG: key}
    around = Surroundings(**entry["around"]) if "around" in entry else Surroundings(entry.get("adopt") or "")
    if run := claimed(around, key):
        journal.ids[key] = run.info.run_id
        name = run.info.run_name if is_named_by_user(run) else around.name or name
        client().update_run(run.info.run_id, "RUNNING", name)
        _tag(run.info.run_id, tags)
        return
    if parent := parent_of(around, key):
        experiment, tags = parent.info.experiment_id, tags | {"mlflow.parentRunId": parent.info.run_id}
    else:
        experiment = experiment_id(entry["experiment"])
    known = client().search_runs([experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1)
    made = entry.get("made", {}) | tags
    run = known[0] if known else client().create_run(experiment, entry["time"], made, around.name or name)
    journal.ids[key] = run.info.run_id


def _tags(entry: Entry, journal: Journal) -> None:
    tags = {name: _translated(name, value, journal) for name, value in entry["tags"].items()}
    _tag(journal.ids[entry["run"]], tags)


def _params(entry: Entry, journal: Journal) -> None:
    """Logs params, except those that `mlflow run` has already logged in its own spelling."""
    run_id = journal.ids[entry["run"]]
    logged = client().get_run(run_id).data.params
    new = [
        Param(name, _translated(name, value, journal)) for name, value in entry["params"].items() if name not in logged
    ]
    client().log_batch(run_id, params=new)


def _metrics(entry: Entry, journal: Journal) -> None:
    """Logs metrics; the store takes the same value of the same time and step once only."""
    logged = [Metric(name, value, entry["time"], entry["step"]) for name, value in entry["metrics"].items()]
    client().log_batch(journal.ids[entry["run"]], metrics=logged)


def _inputs(entry: Entry, journal: Journal) -> None:
    inputs = [
        DatasetInput(
            DatasetEntity(one["name"], one["digest"], "code", one["source"], profile=one["profile"]),
            tags=[InputTag("mlflow.data.context", one["context"])],
        )
        for one in entry["datasets"]
    ]
    client().log_inputs(journal.ids[entry["run"]], datasets=inputs)


def _artifact(entry: Entry, journal: Journal) -> None:
    run_id, path = journal.ids[entry["run"]], journal.folder / entry["path"]
    if path.is_dir():
        client().log_artifacts(run_id, str(path), path.name)
    else:
        client().log_artifact(run_id, str(path))


def _register(entry: Entry, journal: Journal) -> None:
    key = entry["run"]
    journal.addresses[key] = register(
        journal.ids[key], entry["model"], journal.folder / entry["weights"], entry["tags"]
    )


def _status(entry: Entry, journal: Journal) -> None:
    run_id, status = journal.ids[entry["run"]], entry["status"]
    if status == "RUNNING":
        client().update_run(run_id, status=status)
    else:
        client().set_terminated(run_id, status, end_time=entry["time"])


_DELIVERIES: dict[str, Callable[[Entry, Journal], None]] = {
    "create": _create,
    "tags": _tags,
    "params": _params,
    "metrics": _metrics,
    "inputs": _inputs,
    "artifact": _artifact,
    "register": _register,
    "status": _status,
}


def _tag(run_id: str, tags: dict[str, str]) -> None:
    client().log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _translated(name: str, value: str, journal: Journal) -> str:
    """A run that was known by its key alone when the entry was written may have an id by now."""
    if name not in RUN_TAGS:
        return value
    told = journal.ids.get(value) or Journal.id_for(journal.folder.parent, value)
    if KEY.match(told) and (journal.folder.parent / told.partition("/")[0]).is_dir():
        raise MlflowException(f"{told}, which it refers to, has to be told first")
    return told
