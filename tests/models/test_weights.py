"""Saved weights come back bit for bit or not at all, and nothing in them is ever executed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdflow.common.errors import KdflowError
from kdflow.common.files import sha256
from kdflow.models.weights import CARD, SCHEMA, WEIGHTS, read_card, read_weights, save


@pytest.fixture
def model(tiny: Callable[..., nn.Module]) -> nn.Module:
    return tiny(0).to(memory_format=torch.channels_last)


@pytest.fixture
def saved(tmp_path: Path, model: nn.Module) -> Path:
    save(tmp_path, model, {"model": "tiny", "classes": ["a", "b"], "mean": [0.1, 0.2, 0.3]})
    return tmp_path


def reseal(folder: Path) -> None:
    """Makes the card vouch for whatever the weights file now is, as who exchanges both can."""
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"sha256": sha256(folder / WEIGHTS)}))


def refused(folder: Path) -> str:
    with pytest.raises(KdflowError) as caught:
        read_weights(folder)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_weights_come_back_bit_for_bit(saved: Path, model: nn.Module) -> None:
    state = model.state_dict()
    back = read_weights(saved)
    assert list(back) == list(state)
    assert all(torch.equal(back[name], value) and back[name].dtype == value.dtype for name, value in state.items())


def test_the_card_is_readable_and_says_what_was_said(saved: Path) -> None:
    card = read_card(saved)
    assert (card["model"], card["classes"], card["mean"]) == ("tiny", ["a", "b"], [0.1, 0.2, 0.3])
    assert card["schema"] == SCHEMA
    assert len((saved / CARD).read_text().splitlines()) > 5


def test_a_flipped_bit_is_noticed_wherever_it_is(saved: Path) -> None:
    whole = (saved / WEIGHTS).read_bytes()
    for place in range(0, len(whole), len(whole) // 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        (saved / WEIGHTS).write_bytes(damaged)
        assert "SHA-256 is not the one in card.json" in refused(saved)


@pytest.mark.parametrize("kept", [0, 1, 500, -1])
@pytest.mark.parametrize("vouched", [False, True])
def test_truncated_weights_are_refused(saved: Path, kept: int, vouched: bool) -> None:
    (saved / WEIGHTS).write_bytes((saved / WEIGHTS).read_bytes()[:kept])
    if vouched:
        reseal(saved)
    assert refused(saved).startswith("weights.pt")


@pytest.mark.parametrize("name", [WEIGHTS, CARD])
def test_a_missing_file_is_refused_by_name(saved: Path, name: str) -> None:
    (saved / name).unlink()
    assert refused(saved).startswith(name)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"\xff\xfe\x00", b"{}", b'{"schema": 99}', b'{"schema": "1"}']
)
def test_a_card_that_is_damaged_or_of_another_schema_is_refused(saved: Path, content: bytes) -> None:
    (saved / CARD).write_bytes(content)
    assert refused(saved).startswith("card.json")


def test_a_card_without_a_hash_vouches_for_nothing(saved: Path) -> None:
    card = json.loads((saved / CARD).read_text())
    del card["sha256"]
    (saved / CARD).write_text(json.dumps(card))
    assert "SHA-256" in refused(saved)


class Hostile:
    """Writes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("old_format", [False, True])
def test_a_hostile_pickle_is_refused_before_it_runs(saved: Path, old_format: bool) -> None:
    marker = saved / "marker"
    torch.save({"weight": Hostile(marker)}, saved / WEIGHTS, _use_new_zipfile_serialization=not old_format)
    reseal(saved)
    assert refused(saved).startswith("weights.pt holds no tensors that can be read")
    assert not marker.exists()


def test_the_hostile_pickle_is_hostile(tmp_path: Path) -> None:
    torch.save({"weight": Hostile(tmp_path / "marker")}, tmp_path / WEIGHTS)
    torch.load(tmp_path / WEIGHTS, weights_only=False)
    assert (tmp_path / "marker").exists()


@pytest.mark.parametrize("content", [[1, 2], {"weight": "text"}, {"epoch": 3}, torch.zeros(3)])
def test_what_is_not_a_table_of_tensors_is_refused(saved: Path, content: Any) -> None:
    torch.save(content, saved / WEIGHTS)
    reseal(saved)
    assert refused(saved).startswith("weights.pt")
