"""From a reference to a teacher: found in the store, checked against the student's data, frozen."""

import math
from dataclasses import dataclass
from typing import Any

from kdflow.common.errors import KdflowError, TeacherError
from kdflow.common.text import command
from kdflow.data import Dataset
from kdflow.data.base import IMAGE_SIZE
from kdflow.models.saved import read_network
from kdflow.models.weights import read_card
from kdflow.teachers.frozen import Frozen
from kdflow.tracking.champion import best_first, candidates
from kdflow.tracking.readers import Runs

# What the card beside a teacher's weights must say, and as what.
CARD = {"model": str, "classes": list, "mean": list, "std": list, "data": str, "data_digest": str, "split_digest": str}


@dataclass(frozen=True)
class Teacher:
    """A trained teacher, the run that it comes from, and what that is known by: its run id, if nothing else is."""

    run_id: str
    model: Frozen
    signature: str


def find(reference: str, data: Dataset, runs: Runs) -> Teacher:
    """Loads a teacher for a data set.

    Args:
        reference: Whatever `kdflow.tracking.references` knows, or "" for the champion: of the finished teachers of the
            same data and split, the best on validation.
        data: What its students will be trained on.
        runs: Where to look for it.

    Raises:
        TeacherError: there is none, its run is unusable, it was trained on other data, or its files are damaged.
    """
    run_id = runs.resolve_run(reference) if reference else _champion(data, runs)
    if run_id is None:
        raise TeacherError(
            f"no teacher for {data.name} (data {data.digest[:8]}, split {data.split_digest[:8]}) is in {runs.place}: "
            f"train one with `{command('kdflow', 'teacher', '--dataset', data.source)}` and the same options of data "
            "and of keeping, or name one with --teacher"
        )
    with runs.weights_of(run_id) as folder:
        try:
            card = read_card(folder)
            _check(card, data, run_id)
            model = read_network(folder, card)
        except TeacherError:
            raise
        except (KdflowError, TypeError) as error:
            raise TeacherError(f"--teacher {run_id}: {error}") from None
    return Teacher(run_id, Frozen(model), str(card.get("signature", run_id)))


def described(run_id: str, runs: Runs) -> str:
    """A teacher in words, such as "models:/kdflow-teacher-digits/2 (run 3fa2..., test 85.52 %)"."""
    address, score = runs.address(run_id), runs.record(run_id).metrics.get("final/test_accuracy")
    test = "" if score is None else f"test {100 * score:.2f} %"
    if not address:
        return f"run {run_id}" + f" ({test})" * bool(test)
    return f"{address} (run {run_id}" + f", {test}" * bool(test) + ")"


def _champion(data: Dataset, runs: Runs) -> str | None:
    fitting = best_first(candidates(runs.runs("teacher")), (data.digest, data.split_digest))
    return fitting[0].run_id if fitting else None


def _check(card: dict[str, Any], data: Dataset, run_id: str) -> None:
    if missing := [name for name, kind in CARD.items() if not isinstance(card.get(name), kind)]:
        raise TeacherError(f"--teacher {run_id}: its card does not say {', '.join(missing)}; is it a kdflow teacher?")
    theirs, ours = card["classes"], list(data.classes)
    size = card.get("image_size", IMAGE_SIZE)
    if size != IMAGE_SIZE:
        reason = f"it takes images of {size}x{size}, {data.name} has {IMAGE_SIZE}x{IMAGE_SIZE}"
    elif len(theirs) != len(ours):
        reason = f"it knows {len(theirs)} classes, {data.name} has {len(ours)}"
    elif theirs != ours or card["data_digest"] != data.digest:
        reason = f"it was trained on other data ({card['data']} {card['data_digest'][:8]}, not {data.digest[:8]})"
    elif card["split_digest"] != data.split_digest:
        reason = "it was trained on another split, so it has seen images that validate here"
    elif not _alike([*card["mean"], *card["std"]], [*data.mean, *data.std]):
        reason = f"it was trained on images normalised otherwise (mean {card['mean']}, not {list(data.mean)})"
    else:
        return
    remedy = f"train one with `{command('kdflow', 'teacher', '--dataset', data.source)}`"
    raise TeacherError(f"--teacher {run_id}: {reason}; {remedy}")


def _alike(theirs: list[float], ours: list[float]) -> bool:
    """Equal but for the last bits, in which machines differ."""
    return len(theirs) == len(ours) and all(
        math.isclose(*pair, abs_tol=1e-6) for pair in zip(theirs, ours, strict=True)
    )
