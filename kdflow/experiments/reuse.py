"""What is done is not done twice: finished runs are found by their signatures, wherever they were trained."""

from collections import Counter
from collections.abc import Collection
from typing import Any

from kdflow import models
from kdflow.analysis.records import role
from kdflow.common.console import say
from kdflow.config import StudentConfig, TeacherConfig
from kdflow.data import Dataset
from kdflow.experiments.results import Trained
from kdflow.experiments.session import Session
from kdflow.journal.entries import TEACHER
from kdflow.models import weights
from kdflow.tracking.pointers import give_way
from kdflow.tracking.readers import Runs
from kdflow.tracking.record import Record
from kdflow.tracking.surroundings import SIGNATURE_TAG, STUDY_TAG


def finished(
    session: Session[Any], signatures: Collection[str], *, teacher: str = "", study: Collection[str] = ()
) -> dict[str, Record]:
    """The finished runs of a command that need not be trained again, by signature.

    Students are taken together with the very run that taught them, so that a comparison finds them by it; of teachers
    that are known by one signature, that is the one with the most of them.

    Args:
        session: Of the command. Where all is to be anew, only what the same study has made counts.
        signatures: Of what it would train.
        teacher: The run that teaches, where it is settled.
        study: Id and key of the study that it is; by default of the one whose job the command is.
    """
    own = set(study) | ({session.around.study} if session.around.study else set())
    if not (session.config.keeping.reuse or own):
        return {}
    found = session.runs.finished(signatures)
    if not session.config.keeping.reuse:
        found = [one for one in found if one.tags.get(STUDY_TAG) in own]
    taught = Counter(one.tags[TEACHER] for one in found if TEACHER in one.tags)
    teachers = sorted((one for one in found if role(one) == "teacher"), key=lambda one: -taught[one.run_id])
    chosen: dict[str, Record] = {}
    for one in teachers:
        chosen.setdefault(one.tags[SIGNATURE_TAG], one)
    teaching = {teacher, *(one.run_id for one in chosen.values())}
    for one in found:
        if role(one) == "student" and one.tags.get(TEACHER, teacher) in teaching:
            chosen.setdefault(one.tags[SIGNATURE_TAG], one)
    return chosen


def reused(record: Record, config: TeacherConfig | StudentConfig, data: Dataset, runs: Runs) -> Trained:
    """What a finished run ended with, as if it had just been trained."""
    model = models.build(config.model, len(data.classes), seed=config.runtime.seed)
    with runs.weights_of(record.run_id) as folder:
        model.load_state_dict(weights.read_weights(folder), strict=True)
    scores = {name: value for name, value in record.metrics.items() if name.startswith("final/")}
    address, signature = runs.address(record.run_id), record.tags[SIGNATURE_TAG]
    return Trained(record.run_id, model.eval(), address, scores, data.validation, signature)


def tell(record: Record, name: str, session: Session[Any]) -> None:
    """Says that a run is taken as it is, also in the run that `mlflow run` made for the command."""
    address = session.runs.address(record.run_id)
    registered = f", {address}" if address else ""
    say(
        f"{name}: finished before, reused (run {record.run_id}, test accuracy "
        f"{record.metrics['final/test_accuracy']:.2%}{registered}); --reuse false trains anew",
        vital=True,
    )
    if not session.config.keeping.offline:
        give_way(record.run_id)
