"""The answer to what students gain, and all that it rests on: what the report shows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from kdflow.analysis.cells import arm_columns, arm_notes, notes
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.effect import Effect

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pandas import DataFrame


TABLES = {
    "measures": ("run_id",),
    "arm_measures": ("arm",),
    "reliability": ("arm", "scaled", "confidence", "accuracy", "weight"),
    "class_accuracy": ("arm", "class", "accuracy", "gain"),
    "learning": ("arm", "accuracy", "epochs_mean", "epochs_std", "reached", "runs"),
}
"""Columns that each table of an answer has at the least."""


@dataclass(frozen=True)
class Provenance:
    """How the numbers were made, in words, for people.

    Attributes:
        facts: Heading to text, in the order in which they are shown: command, data (digests, number of images), seeds,
            teacher, kdflow's version and commit (and whether the tree was dirty), other versions, hardware, time.
        links: Id of a run, or name of a study, to its page in MLflow; empty where no server is known.
        is_dirty: Whether any run was made with code that no commit holds.
    """

    facts: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    is_dirty: bool = False


@dataclass(frozen=True)
class Parting:
    """A test image on which students and teacher part.

    Attributes:
        index: Its place among the test images.
        label: Its class.
        teacher: The class that most teachers answer.
        student: The class that most students of the arm answer.
        arm: Line of the arm in `Comparison.arms`.
        share: Of the arm's students that answer otherwise than their teacher.
        image: uint8 `[H, W, 3]`; None where the images are not at hand.
    """

    index: int
    label: str
    teacher: str
    student: str
    arm: int
    share: float
    image: "NDArray[np.uint8] | None" = None


@dataclass(frozen=True, eq=False)
class Answer:
    """What students gain. All tables hold fractions; lines of arms are named by their line in `Comparison.arms`.

    Attributes:
        comparison: The runs.
        effects: Of each arm against its baseline, in the order of the arms.
        sentence: The answer in one sentence.
        notes: Sentences on what it rests on: pairs, teachers, method.
        measures: One line a run: run_id, and what was measured of its predictions (see `kdflow.analysis.measures`).
        arm_measures: One line an arm: arm, and of each measure `<name>_mean` and `<name>_std` over its runs.
        reliability: Bins of reliability diagrams: arm, scaled (whether temperature-scaled), confidence, accuracy,
            weight (share of the images).
        class_accuracy: arm, class, accuracy (mean over seeds), gain (mean paired difference to the baseline, or None).
        confusion: By arm, mean share `[classes, classes]`: rows are labels, and sum to 1.
        learning: arm, accuracy, epochs_mean, epochs_std, reached (how many of its runs), runs.
        partings: Test images on which students and teacher part, the most telling first.
        provenance: How it was made.
        margin: Differences within it count as none, a fraction.
        seed_agreement: How far alpha = 1 students of different seeds agree with each other, a fraction: what agreement
            with a teacher is measured by; None where there are no two.
    """

    comparison: Comparison
    effects: tuple[Effect, ...]
    sentence: str
    notes: tuple[str, ...]
    measures: "DataFrame"
    arm_measures: "DataFrame"
    reliability: "DataFrame"
    class_accuracy: "DataFrame"
    confusion: Mapping[int, "NDArray[np.float64]"]
    learning: "DataFrame"
    partings: tuple[Parting, ...] = ()
    provenance: Provenance = field(default_factory=Provenance)
    margin: float = 0.005
    seed_agreement: float | None = None

    @classmethod
    def of(cls, comparison: Comparison, **facts: object) -> Self:
        """An answer that holds the runs alone, and what else is given; all other tables are empty.

        Args:
            comparison: The runs.
            facts: Other attributes.
        """
        from pandas import DataFrame

        tables = {name: DataFrame(columns=list(columns)) for name, columns in TABLES.items()}
        words: dict[str, object] = {"effects": (), "sentence": "", "notes": (), "confusion": {}}
        return cls(comparison, **{**tables, **words, **facts})

    @property
    def cells(self) -> dict[str, list[str]]:
        """The table that is shown first, the comparison's with gains, intervals and verdicts."""
        return arm_columns(self.comparison.arms, self.effects) if self.effects else self.comparison.cells

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the numbers of that table are, and what they rest on."""
        if not self.effects:
            return (*self.comparison.notes, *self.notes)
        about_runs = notes(self.comparison.runs, self.comparison.validation)
        return (*arm_notes(self.comparison.arms, self.effects), *about_runs, *self.notes)
