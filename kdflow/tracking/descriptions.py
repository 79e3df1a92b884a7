"""Descriptions that MLflow's pages show: of runs, experiments, registered models and their versions, in Markdown."""

from mlflow.exceptions import MlflowException

from kdflow.common.console import warn
from kdflow.journal.entries import Entry, runs_named
from kdflow.journal.journal import Journal
from kdflow.tracking.client import client
from kdflow.tracking.refusals import Refused, is_refusal, may_pass
from kdflow.tracking.trouble import failure

NOTE = "mlflow.note.content"
"""Tag of runs and experiments that holds their description."""
ADDRESS = "models:/NAME/VERSION"
"""Stands in a description for the address of a run's registered version, which only the store gives it."""
LONGEST = 5000
"""Letters that every store takes, whatever its database."""
RUN, VERSION, MODEL, EXPERIMENT = "run", "version", "model", "experiment"
"""What a text can describe."""


def shortened(text: str) -> str:
    """A description that every store takes: whole lines from its begin."""
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 2].rpartition("\n")[0] + "\n\u2026"


def describe(entry: Entry, journal: Journal, address: str) -> None:
    """Gives the store the texts of an entry; a store that will not have one is warned of, and stops nothing.

    A text that a user wrote for an experiment or a registered model stays.

    Args:
        entry: With `texts`, by what they describe.
        journal: That has it.
        address: Of the run's registered version; empty without one.

    Raises:
        Refused: a text names a version that the store does not have yet.
    """
    run_id = journal.ids[entry["run"]]
    for what, text in entry["texts"].items():
        if ADDRESS in text and not address:
            raise Refused
        for named in runs_named(entry):
            text = text.replace(named, Journal.id_for(journal.folder.parent, journal.ids.get(named, named)))
        try:
            _DESCRIBE[what](run_id, address, text.replace(ADDRESS, address))
        except MlflowException as error:
            if may_pass(error) or not is_refusal(error):
                raise
            warn(f"the store does not take the description of the {what} of run {run_id}: {failure(error)}")


def _run(run_id: str, _: str, text: str) -> None:
    client().set_tag(run_id, NOTE, text)


def _version(_: str, address: str, text: str) -> None:
    name, number = address.removeprefix("models:/").rsplit("/", 1)
    client().update_model_version(name, number, text)


def _model(_: str, address: str, text: str) -> None:
    name = address.removeprefix("models:/").rpartition("/")[0]
    if not client().get_registered_model(name).description:
        client().update_registered_model(name, text)


def _experiment(run_id: str, _: str, text: str) -> None:
    experiment = client().get_experiment(client().get_run(run_id).info.experiment_id)
    if not experiment.tags.get(NOTE):
        client().set_experiment_tag(experiment.experiment_id, NOTE, text)


_DESCRIBE = {RUN: _run, VERSION: _version, MODEL: _model, EXPERIMENT: _experiment}
