"""Runs that can be compared, as tables: what `selection` finds and the reports show."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Self

from kdflow.analysis.arms import arms, numbered
from kdflow.analysis.cells import NAMES, arm_columns, arm_notes, columns, notes
from kdflow.common.html import html_table, inert

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Row:
    """One finished run of a comparison, for those who draw it.

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


FACTS = tuple(spec.name for spec in fields(Row) if spec.name != "history")
"""Columns of the table of runs; those of further final metrics follow them."""
DRAWN = 30
"""How many arms figures show at the most: more curves cannot be told apart, and to read them takes long."""
CURVES = ("run_id", "metric", "epoch", "value")
"""Columns of the table of curves."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs on one data set and split, against one teacher, or one for each seed.

    Attributes:
        dataset: Short name of the data set.
        data_digest: Of its images and labels.
        split_digest: Of the validation split.
        runs: One line a run, teachers first, by seed, then students by falling alpha, distiller, temperature and seed;
            the columns are those of `Row` and the final metrics that are declared besides. What does not apply is None.
        curves: One line an epoch of a run and metric: run_id, metric, epoch (from 1), value.
        footnotes: Sentences on what was left out.
        validation: What was done to validation images, such as "cropped and mirrored"; empty if nothing was.
        baselines: Run id of a student to that of the alpha = 1 student of the same seed and recipe, where there is one.
        costs: One line a run: run_id, and what its model costs (see `kdflow.analysis.lines.costs`); None if unknown.
        teachers: Run id of a student to that of its teacher, where it is among the runs: of the one that taught it; at
            alpha = 1 of the one of its seed, or of the only one.
    """

    dataset: str
    data_digest: str
    split_digest: str
    runs: "DataFrame"
    curves: "DataFrame"
    footnotes: tuple[str, ...]
    validation: str = ""
    baselines: Mapping[str, str] = field(default_factory=dict)
    teachers: Mapping[str, str] = field(default_factory=dict)
    costs: "DataFrame | None" = None

    @classmethod
    def of(cls, rows: Iterable[Row], **facts: object) -> Self:
        """A comparison of rows.

        Args:
            rows: In their order.
            facts: The other attributes.
        """
        from pandas import DataFrame

        rows = tuple(rows)
        runs = DataFrame([[getattr(row, name) for name in FACTS] for row in rows], columns=list(FACTS), dtype=object)
        lines = [
            (row.run_id, metric, epoch, value)
            for row in rows
            for metric, values in row.history.items()
            for epoch, value in enumerate(values, start=1)
        ]
        return cls(runs=runs, curves=DataFrame(lines, columns=list(CURVES)), **facts)  # type: ignore[arg-type]

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The runs with their histories, in their order."""
        lines = self.runs[list(FACTS)].itertuples(index=False, name=None)
        return tuple(Row(**dict(zip(FACTS, line, strict=True)), history=self.history(line[0])) for line in lines)

    @cached_property
    def arms(self) -> "DataFrame":
        """One line an arm: the runs that differ in nothing but the seed (see `kdflow.analysis.arms`)."""
        return arms(self.runs, self.baselines)

    @property
    def has_seeds(self) -> bool:
        """Whether there are arms of several seeds, so that means are worth more than single runs."""
        return len(self.arms) < len(self.runs)

    @property
    def rows_by_arm(self) -> tuple[tuple[Row, ...], ...]:
        """The runs of each arm, in the order of `arms`."""
        found: dict[int, list[Row]] = {}
        for number, row in zip(numbered(self.runs), self.rows, strict=True):
            found.setdefault(number, []).append(row)
        return tuple(map(tuple, found.values()))

    @property
    def cells(self) -> dict[str, list[str]]:
        """The table that is shown first, as heading to cells: of the arms where they have seeds, else of the runs."""
        return arm_columns(self.arms) if self.has_seeds else columns(self.runs)

    @property
    def notes(self) -> list[str]:
        """What the numbers of that table are."""
        return [*(arm_notes(self.arms) if self.has_seeds else []), *notes(self.runs, self.validation)]

    def history(self, run_id: str) -> dict[str, list[float]]:
        """Metric name to its values at epochs 1, 2, ...; empty where none were kept."""
        return self._histories.get(run_id, {})

    @cached_property
    def _histories(self) -> dict[str, dict[str, list[float]]]:
        found: dict[str, dict[str, list[float]]] = {}
        for run_id, metric, _, value in self.curves[list(CURVES)].itertuples(index=False, name=None):
            found.setdefault(run_id, {}).setdefault(metric, []).append(value)
        return found

    def drawn(self) -> "Comparison":
        """The same of the arms that figures show alone: those that have curves, or the first where none has."""
        with_curves = set(self.curves["run_id"])
        numbers = numbered(self.runs)
        shown = {number for number, run_id in zip(numbers, self.runs["run_id"], strict=True) if run_id in with_curves}
        shown = shown or set(range(DRAWN))
        return replace(self, runs=self.runs.loc[[number in shown for number in numbers]])

    def to_frame(self) -> "DataFrame":
        """Returns one line per run, accuracies as fractions."""
        return self.runs.infer_objects()

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        below = "<br>".join(map(inert, (*self.notes, *self.footnotes)))
        return f"<b>Accuracy on {inert(self.dataset)}</b>\n{html_table(self.cells, NAMES)}\n<p>{below}</p>"
