"""How often an arm is right where it is so sure: what reliability diagrams draw."""

from collections.abc import Mapping

import numpy as np
from pandas import DataFrame

from kdflow.analysis.arms import numbered
from kdflow.analysis.calibration import Bools, Floats, Ints, reliability_bins
from kdflow.analysis.comparison import Comparison
from kdflow.analysis.seen import seen
from kdflow.evaluation.predictions import Predictions


def reliability(comparison: Comparison, predictions: Mapping[str, Predictions]) -> DataFrame:
    """Returns one line a bin that is not empty, of equal width: arm, scaled, confidence, accuracy and weight.

    The images of all runs of an arm are put together, each run scaled by its own temperature where `scaled` is True.

    Args:
        comparison: The runs.
        predictions: By run id.
    """
    arms = dict(zip(comparison.runs["run_id"], numbered(comparison.runs), strict=True))
    found: dict[tuple[int, bool], list[tuple[Floats, Bools, Ints]]] = {}
    for run_id, one in seen(comparison, predictions):
        for scaled, sure in ((False, one.raw), (True, one.scaled)):
            if sure is not None:
                found.setdefault((arms[run_id], scaled), []).append((sure.confidence, sure.correct, sure.numbers))
    lines = []
    for (arm, scaled), runs in found.items():
        bins = reliability_bins(*map(np.concatenate, zip(*runs, strict=True)))
        lines += [(arm, scaled, *values) for values in zip(*bins, strict=True)]
    return DataFrame(lines, columns=["arm", "scaled", "confidence", "accuracy", "weight"])
