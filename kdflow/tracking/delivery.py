"""How an entry of a journal becomes part of the MLflow store. Told twice, each has the effect of told once."""

from collections.abc import Callable, Mapping
from contextlib import suppress

from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag

from kdflow.common.errors import TrackingError
from kdflow.journal.entries import PARENT, RUN_TAGS, TEACHER, Entry, runs_named
from kdflow.journal.folders import KEY
from kdflow.journal.journal import Journal
from kdflow.tracking.client import client
from kdflow.tracking.descriptions import describe
from kdflow.tracking.experiments import experiment_id
from kdflow.tracking.lineage import taught_by, tie_metrics
from kdflow.tracking.model_registry import register
from kdflow.tracking.presence import absence, absent
from kdflow.tracking.refusals import Refused, remedy
from kdflow.tracking.surroundings import KEY_TAG, Surroundings, claimed, is_named_by_user, parent_of
from kdflow.tracking.trouble import failure

COMPARES = "kdflow.compares"
"""Tag of the run of a comparison: what it compares (see `kdflow.experiments.compare`)."""


def deliver(entry: Entry, journal: Journal) -> None:
    """Tells the store one entry; what the store answers is kept in the journal's ids and addresses.

    Raises:
        Refused: its run is not in the store, or another that it names is not yet; else it is told.
    """
    if entry["kind"] != "create" and entry["run"] not in journal.ids:
        raise Refused
    waiting = sorted(run for run in runs_named(entry) if _is_kept(_id(run, journal), journal))
    if not (waiting and entry["kind"] == "params"):  # which could not be corrected later, as tags are
        _DELIVERIES[entry["kind"]](entry, journal)
    if waiting:
        raise Refused(f"it names {', '.join(waiting)}, which the store does not have yet")


def reason_of(error: Exception, entry: Entry, journal: Journal) -> str:
    """Why the store refuses an entry and what can be done about it; empty where another refusal says it."""
    if isinstance(error, Refused):
        return str(error)
    with suppress(TrackingError):
        run_id = journal.ids.get(entry["run"]) or entry.get("around", {}).get("named")
        if run_id and (gone := absence(run_id)):
            return f"run {run_id}: {gone}"
    return ": ".join(filter(None, [failure(error), remedy(error)]))


def _create(entry: Entry, journal: Journal) -> None:
    """Makes a run, or takes the one that `mlflow run` made for the command; a name that somebody chose stays."""
    key = entry["run"]
    told_key = journal.told_key(key)
    tags = _translated(entry["tags"], journal) | {KEY_TAG: told_key}
    if known := journal.ids.get(key):
        if gone := absent(known):
            raise Refused(f"run {known}: {gone}")
        _tag(known, tags)  # a run that they name may have an id by now
        return
    name = _name(entry, journal)
    around = Surroundings(**entry["around"]) if "around" in entry else Surroundings(entry.get("adopt") or "")
    if journal.moved_to:
        around = Surroundings(name=around.name)
    if run := claimed(around, told_key):
        name = run.info.run_name if is_named_by_user(run) else around.name or name
        client().update_run(run.info.run_id, "RUNNING", name)
        _tag(run.info.run_id, tags)
        journal.ids[key] = run.info.run_id
        return
    if parent := parent_of(around, told_key):
        experiment, tags = parent.info.experiment_id, tags | {PARENT: parent.info.run_id}
    elif study := journal.ids.get(entry["tags"].get(PARENT, "")):
        experiment = client().get_run(study).info.experiment_id  # wherever that was nested
    else:
        experiment = experiment_id(journal.moved_to or entry["experiment"])
    if found := _made_before(experiment, told_key) or _compared_before(experiment, tags):
        journal.ids[key] = found
        _tag(found, tags)
        return
    made = entry.get("made", {}) | tags
    journal.ids[key] = client().create_run(experiment, entry["time"], made, around.name or name).info.run_id


def _made_before(experiment: str, told_key: str) -> str | None:
    """The run that the store has of a command already, though that could not be noted."""
    found = client().search_runs([experiment], f"tags.`{KEY_TAG}` = '{told_key}'", max_results=1)
    return str(found[0].info.run_id) if found else None


def _compared_before(experiment: str, tags: Mapping[str, str]) -> str | None:
    """The newest run of an earlier comparison of the same, which the new one takes the place of."""
    if COMPARES not in tags:
        return None
    found = client().search_runs(
        [experiment], f"tags.`{COMPARES}` = '{tags[COMPARES]}'", order_by=["attributes.start_time DESC"]
    )
    alike = [str(run.info.run_id) for run in found if run.data.tags.get(PARENT) == tags.get(PARENT)]
    for run_id in alike[:1]:
        client().update_run(run_id, "RUNNING")
        return run_id
    return None


def _name(entry: Entry, journal: Journal) -> str:
    """How a run is shown: of a student that has a teacher, with the begin of the teacher's id."""
    name, teacher = str(entry["name"]), _teacher(entry["run"], journal)
    return f"{name} teacher={teacher[:8]}" if teacher else name


def _teacher(key: str, journal: Journal) -> str:
    """The id that the store gave the teacher of a run; empty without one, and until it has one."""
    named = next((entry["tags"].get(TEACHER, "") for entry in journal.of(key, "create")), "")
    teacher = _id(named, journal)
    return "" if KEY.match(teacher) else teacher


def _tags(entry: Entry, journal: Journal) -> None:
    _tag(journal.ids[entry["run"]], _translated(entry["tags"], journal))


def _params(entry: Entry, journal: Journal) -> None:
    """Logs params, except those that `mlflow run` has already logged in its own spelling."""
    run_id = journal.ids[entry["run"]]
    logged = client().get_run(run_id).data.params
    values = _translated(entry["params"], journal)
    new = [Param(name, value) for name, value in values.items() if name not in logged]
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
    run_id = journal.ids[entry["run"]]
    client().log_inputs(run_id, datasets=inputs)
    if teacher := _teacher(entry["run"], journal):
        taught_by(run_id, teacher)


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
    tie_metrics(key, journal)


def _describe(entry: Entry, journal: Journal) -> None:
    describe(entry, journal, journal.addresses.get(entry["run"], ""))


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
    "describe": _describe,
    "status": _status,
}


def _tag(run_id: str, tags: dict[str, str]) -> None:
    client().log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])


def _translated(tags: Mapping[str, str], journal: Journal) -> dict[str, str]:
    """Tags of which those that name runs give their ids, where they have one by now."""
    return {tag: _id(value, journal) if tag in RUN_TAGS else value for tag, value in tags.items()}


def _id(run: str, journal: Journal) -> str:
    """The id of a run that was known by its key alone when the entry was written, or the key until it has one."""
    return journal.ids.get(run) or Journal.id_for(journal.folder.parent, run)


def _is_kept(run: str, journal: Journal) -> bool:
    """Whether this is the key of a run that is kept here and will have an id."""
    return bool(KEY.match(run)) and (journal.folder.parent / run.partition("/")[0]).is_dir()
