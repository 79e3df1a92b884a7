"""What a training run shows while it lasts: a bar on a terminal or in a notebook, one line an epoch everywhere."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kdflow.common.console import console, is_hushed, say
from kdflow.common.notebook import NotebookBar, in_notebook
from kdflow.training.cohort import Step
from kdflow.training.loop import Epoch

REFRESHES_PER_EPOCH = 50


class TrainingProgress:
    """Shows the training of one cohort.

    Args:
        title: What is trained.
        members: Names of its members.
        epochs: How many there will be.
        done: How many there have been, before a stop.
    """

    def __init__(self, title: str, members: Sequence[str], epochs: int, *, done: int = 0) -> None:
        self._title, self._members, self._epochs = title, members, epochs
        self._epoch = done + 1
        self._page = NotebookBar() if in_notebook() else None
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[now]}"),
        ]
        shown = console.is_terminal and not self._page and not is_hushed()
        self._bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True, disable=not shown)
        self._bar = self._bars.add_task(title, total=None, now="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bars.stop()
        if self._page:
            self._page.close()

    def step(self, step: Step) -> None:
        """Moves the bar now and then; on CUDA without the running loss, as reading it would make the device wait."""
        if not (self._page or not self._bars.disable) or step.number % max(step.of // REFRESHES_PER_EPOCH, 1):
            return
        title = f"{self._title} epoch {self._epoch}/{self._epochs}"
        now = "" if step.sums.values.is_cuda else _so_far(step)
        if self._page:
            self._page.show(f"{title} {now}", done=step.number, of=step.of)
        else:
            self._bars.update(self._bar, description=title, total=step.of, completed=step.number, now=now)

    def epoch(self, epoch: Epoch) -> None:
        """Prints what an epoch gave."""
        self._epoch = epoch.number + 1
        parts = [
            f"{name}: label loss {metrics['train/label_loss']:.3f}, validation {metrics['val/accuracy']:.2%}"
            for name, metrics in zip(self._members, epoch.metrics, strict=True)
        ]
        took = f"{epoch.metrics[0]['speed/epoch_seconds']:.1f} s"
        say(f"epoch {epoch.number}/{self._epochs} {' | '.join(parts)} ({_objectives(epoch.metrics)}{took})")


def _objectives(members: Sequence[Mapping[str, float]]) -> str:
    """What each member minimises, where it is more than the label loss; it depends on alpha, so it stands apart."""
    objectives = [metrics["train/loss"] for metrics in members]
    if objectives == [metrics["train/label_loss"] for metrics in members]:
        return ""
    return f"own objective{'s' * (len(members) > 1)} {', '.join(map('{:.3f}'.format, objectives))}; "


def _so_far(step: Step) -> str:
    means = step.means()
    losses = " ".join(f"{one['train/label_loss']:.2f}" for one in means)
    accuracies = " ".join(f"{one['train/accuracy']:.1%}" for one in means)
    return f"label loss {losses}, accuracy {accuracies}"
