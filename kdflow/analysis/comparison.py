"""A comparison as plain rows: what `compare` finds and `report` draws."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from kdflow.analysis.cells import columns, html_table, inert, notes

if TYPE_CHECKING:
    from pandas import DataFrame

# The per-epoch metrics that a comparison keeps.
CURVES = (
    "train/loss",
    "train/label_loss",
    "train/distill_loss",
    "train/accuracy",
    "val/loss",
    "val/label_loss",
    "val/accuracy",
    "val/teacher_kl",
    "val/teacher_agreement",
)


@dataclass(frozen=True)
class Row:
    """One finished run.

    Attributes:
        run_id: Of MLflow.
        role: "teacher" or "student".
        model: Architecture, such as "small-cnn".
        alpha: Weight of the labels; None for the teacher.
        distiller: None for the teacher and at alpha = 1.
        temperature: None where the distiller has none.
        seed: Of weights, order, augmentation and dropout.
        epochs: Trained for.
        settings: In what else the run differs from others of the comparison, such as "lr=0.1"; mostly empty.
        parameters: Trained weights.
        train_accuracy: Fraction, clean training images.
        val_accuracy: Fraction, validation images as drawn.
        test_accuracy: Fraction, test images.
        gap: Test accuracy minus the teacher's, a fraction; None for the teacher and without one.
        history: Metric name to its values at epochs 1, 2, ...
    """

    run_id: str
    role: str
    model: str
    alpha: float | None
    distiller: str | None
    temperature: float | None
    seed: int
    epochs: int
    settings: str
    parameters: int
    train_accuracy: float
    val_accuracy: float
    test_accuracy: float
    gap: float | None
    history: dict[str, list[float]]

    @property
    def label(self) -> str:
        """Short name for tables and legends."""
        if self.role == "teacher":
            return "teacher"
        parts = [f"alpha = {self.alpha:g}"]
        if self.distiller not in (None, "soft-targets"):
            parts.append(str(self.distiller))
        if self.temperature is not None:
            parts.append(f"T = {self.temperature:g}")
        if self.settings:
            parts.append(self.settings)
        return ", ".join(parts)


@dataclass(frozen=True)
class Comparison:
    """Runs on one data set and split, against one teacher.

    Attributes:
        dataset: Short name of the data set.
        data_digest: Of its images and labels.
        split_digest: Of the validation split.
        rows: The teacher, if there is one, then students by falling alpha.
        footnotes: Sentences on what was left out.
        validation: What was done to validation images, such as "cropped and mirrored"; empty if nothing was.
    """

    dataset: str
    data_digest: str
    split_digest: str
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...]
    validation: str = ""

    def to_frame(self) -> "DataFrame":
        """Returns one line per run, accuracies as fractions."""
        from pandas import DataFrame

        facts = [{fact.name: getattr(row, fact.name) for fact in fields(row)} for row in self.rows]
        return DataFrame(facts, columns=[fact.name for fact in fields(Row)]).drop(columns="history")

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        below = "<br>".join(map(inert, (*notes(self), *self.footnotes)))
        return f"<b>Accuracy on {inert(self.dataset)}</b>\n{html_table(columns(self))}\n<p>{below}</p>"
