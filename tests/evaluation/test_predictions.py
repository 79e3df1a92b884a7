"""Predictions that are kept: whole, the same for the same, and nothing but arrays."""

import io
from dataclasses import replace

import numpy as np
import pytest

from kdflow.common.errors import KdflowError
from kdflow.evaluation.predictions import Predicted, Predictions


@pytest.fixture
def kept() -> Predictions:
    def part(count: int) -> Predicted:
        logits = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)
        return Predicted(logits, np.arange(count) % 3, np.arange(count) + 7)

    return Predictions(part(4), part(6), ("cat", "dog", "Ünicorn"))


def test_they_come_back_bit_by_bit(kept: Predictions) -> None:
    again = Predictions.from_bytes(kept.to_bytes())
    assert again.classes == kept.classes
    for ours, theirs in ((again.val, kept.val), (again.test, kept.test)):
        assert ours.logits.dtype == np.float32
        for name in ("logits", "labels", "index"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


def test_the_same_predictions_are_the_same_file(kept: Predictions) -> None:
    assert kept.to_bytes() == kept.to_bytes()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all"])
def test_what_is_damaged_is_refused(content: bytes) -> None:
    with pytest.raises(KdflowError, match="damaged"):
        Predictions.from_bytes(content)


def test_half_a_file_is_refused(kept: Predictions) -> None:
    whole = kept.to_bytes()
    with pytest.raises(KdflowError, match="damaged"):
        Predictions.from_bytes(whole[: len(whole) // 2])


def test_arrays_that_do_not_fit_are_refused(kept: Predictions) -> None:
    broken = replace(kept, val=replace(kept.val, labels=np.arange(2)))
    with pytest.raises(KdflowError, match="do not fit"):
        Predictions.from_bytes(broken.to_bytes())


@pytest.mark.parametrize("wrong", [{"labels": np.array([0, 1, 2, 3])}, {"index": np.array([0, 1, 2, -1])}])
def test_labels_and_places_that_there_are_not_are_refused(kept: Predictions, wrong: dict[str, np.ndarray]) -> None:
    broken = replace(kept, val=replace(kept.val, **wrong))
    with pytest.raises(KdflowError, match="that there are not"):
        Predictions.from_bytes(broken.to_bytes())


def test_a_pickled_object_is_not_read(kept: Predictions) -> None:
    stream = io.BytesIO()
    np.savez(stream, classes=np.array([{"a": 1}], dtype=object))
    with pytest.raises(KdflowError, match="damaged"):
        Predictions.from_bytes(stream.getvalue())
