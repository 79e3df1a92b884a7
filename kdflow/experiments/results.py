"""What a training ends with."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from kdflow.analysis.cells import NAMES, NOTHING, percent, validation_note
from kdflow.common.html import html_table, inert

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Trained:
    """A finished training run.

    Attributes:
        run_id: Of MLflow; the run's key where no store has it yet.
        model: As it stands after the last epoch, in eval mode.
        address: Of the registered version, such as "models:/kdflow-student-digits/3"; empty where no store has it yet.
        scores: The `final/` metrics.
        validation: What was done to validation images, such as "cropped and mirrored"; empty if nothing was.
        signature: What the run is known by (see `kdflow.training.identity`).
    """

    run_id: str
    model: torch.nn.Module = field(repr=False)
    address: str
    scores: dict[str, float]
    validation: str = ""
    signature: str = field(default="", repr=False)

    def to_frame(self) -> "DataFrame":
        """Returns one line: run, address and scores, accuracies as fractions."""
        from pandas import DataFrame

        scores = {name.removeprefix("final/"): value for name, value in self.scores.items()}
        return DataFrame([{"run_id": self.run_id, "address": self.address, **scores}])

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        shown = {"run": [self.run_id], "model": [self.address or NOTHING]}
        for split in ("train", "val", "test"):
            shown[split] = [percent(self.scores[f"final/{split}_accuracy"])]
        note = f" {validation_note(self.validation)}" if self.validation else ""
        return f"{html_table(shown, NAMES)}\n<p>{inert('Accuracies in %.' + note)}</p>"
