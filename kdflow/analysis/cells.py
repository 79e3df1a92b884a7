"""The runs of a comparison as columns of short texts, the same in the terminal, in Markdown and in HTML."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame, Series

NOTHING = "-"  # a cell that does not apply, such as the alpha of the teacher
NAMES = ("run", "model", "distiller", "settings")  # columns of words; all others hold numbers


def columns(runs: "DataFrame") -> dict[str, list[str]]:
    """Returns heading to cells, one cell a run. Columns that would say nothing are left out.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
    """
    gaps = (NOTHING if gap is None else f"{100 * gap:+z.2f}" for gap in runs["gap"])
    every = {
        "run": list(runs["role"]),
        "model": list(runs["model"]),
        "alpha": [_number(alpha) for alpha in runs["alpha"]],
        "distiller": [distiller or NOTHING for distiller in runs["distiller"]],
        "T": [_number(temperature) for temperature in runs["temperature"]],
        **_metrics(runs),
        "gap": list(gaps),
        "parameters": _parameters(runs),
        "epochs": [str(epochs) for epochs in runs["epochs"]],
        "seed": [str(seed) for seed in runs["seed"]],
        "settings": [settings or NOTHING for settings in runs["settings"]],
    }
    idle = {heading for heading in ("alpha", "T", "gap", "settings") if set(every[heading]) <= {NOTHING}}
    idle |= {heading for heading in ("distiller", "seed") if len(set(every[heading]) - {NOTHING}) < 2}
    return {heading: cells for heading, cells in every.items() if heading not in idle}


def notes(runs: "DataFrame", validation: str) -> list[str]:
    """Returns what the numbers are, what all runs have in common, and how validation images differ from test images.

    Args:
        runs: See `kdflow.analysis.comparison.Comparison`.
        validation: What was done to validation images; empty if nothing was.
    """
    common = [f"distiller {name}" for name in set(runs["distiller"]) - {None}]
    common = common if len(common) == 1 else []
    if len(seeds := set(runs["seed"])) == 1:
        common.append(f"seed {seeds.pop()}")
    parts = ["Accuracies in %"]
    if any(gap is not None for gap in runs["gap"]):
        parts.append("gap to the teacher's test accuracy in percentage points")
    sentences = ["; ".join((*parts, *common)) + "."]
    if validation:
        sentences.append(validation_note(validation))
    return sentences


def validation_note(drawn: str) -> str:
    """Returns why accuracies of validation and test images are not alike.

    Args:
        drawn: What was done to validation images, such as "cropped and mirrored".
    """
    return f"Validation images are {drawn} once, as the study asks; test images are not."


def percent(fraction: float) -> str:
    """Returns a fraction as a number of percent."""
    return f"{100 * fraction:.2f}"


def _metrics(runs: "DataFrame") -> dict[str, list[str]]:
    """The final metrics that ask for a column, as declared."""
    from kdflow.evaluation.metrics import FRACTION, columns, metrics

    shown = {}
    for name, heading in columns().items():
        write = percent if metrics[name].unit == FRACTION else "{:.4g}".format
        cells = runs.get(name.removeprefix("final/"), [None] * len(runs))
        shown[heading] = [NOTHING if value is None else write(value) for value in cells]
    return shown


def _number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:g}"


def _parameters(runs: "DataFrame") -> list[str]:
    of_teacher: Series[int] = runs.loc[runs["role"] == "teacher", "parameters"]
    if of_teacher.empty:
        return [f"{count:,}" for count in runs["parameters"]]
    whole = of_teacher.iloc[0]
    pairs = zip(runs["role"], runs["parameters"], strict=True)
    return [f"{count:,}" if role == "teacher" else f"{count:,} ({100 * count / whole:.1f} %)" for role, count in pairs]
