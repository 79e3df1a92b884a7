"""What is said of an epoch compares across members; a bar is shown where somebody looks."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from kdflow.common import notebook
from kdflow.experiments.progress import TrainingProgress
from kdflow.training.cohort import Step, Sums
from kdflow.training.loop import Epoch

FIGURES = {"train/loss": 2.25, "train/label_loss": 2.25, "val/accuracy": 0.4722, "speed/epoch_seconds": 2.84}
NAMES = ("train/loss", "train/label_loss", "train/distill_loss", "train/accuracy")
STEP = Step(1, 2, 10, Sums((NAMES,), torch.tensor([366.2, 23.0, 366.2, 4.0])))


def said(capsys: pytest.CaptureFixture[str], *metrics: dict[str, float]) -> str:
    names = [f"member {place}" for place in range(len(metrics))]
    with TrainingProgress("student", names, 2) as progress:
        progress.epoch(Epoch(1, list(metrics), {}))
    return capsys.readouterr().out


def test_an_epoch_gives_the_label_loss_of_each_member_and_their_own_objectives_apart(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said(capsys, FIGURES, FIGURES | {"train/loss": 36.618}) == (
        "epoch 1/2 member 0: label loss 2.250, validation 47.22% | member 1: label loss 2.250, validation 47.22% "
        "(own objectives 2.250, 36.618; 2.8 s)\n"
    )


def test_where_the_objective_is_the_label_loss_it_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, FIGURES) == "epoch 1/2 member 0: label loss 2.250, validation 47.22% (2.8 s)\n"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """What the page of a notebook is asked to show; its kernel is a stand-in."""
    shown: list[dict[str, str]] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        shown.append(data)
        return SimpleNamespace(update=lambda data, raw: shown.append(data))

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "IPython.display", SimpleNamespace(display=display))
    return shown


def test_a_notebook_gets_a_bar_that_is_gone_in_the_end(page: list[dict[str, str]]) -> None:
    with TrainingProgress("<student>", ["alpha=0"], 2) as progress:
        progress.step(STEP)
    drawn, gone = page
    assert drawn["text/plain"] == "<student> epoch 1/2 label loss 2.30, accuracy 40.0% (1/2)"
    assert '<progress value="1" max="2"' in drawn["text/html"]
    assert "&lt;student&gt;" in drawn["text/html"]
    assert set(gone.values()) == {""}


def test_steps_that_follow_fast_are_not_all_drawn_but_the_last_is(page: list[dict[str, str]]) -> None:
    bar = notebook.NotebookBar()
    for step in range(1, 101):
        bar.show("student", done=step, of=100)
    assert len(page) < 50
    assert "(100/100)" in page[-1]["text/plain"]


def test_outside_of_a_kernel_there_is_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not notebook.in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert not notebook.in_notebook(), "IPython in a terminal has no kernel"
