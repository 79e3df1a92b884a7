"""How far the confidence of a model can be trusted: proper scores, calibration errors, temperature scaling.

Pure functions on arrays. Proper scores come first: a calibration error is small, too, of a model that is never sure.
"""

from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from scipy.stats import rankdata
from sklearn.metrics import brier_score_loss

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]

BINS = 15
RESAMPLES = 200
TEMPERATURES = (0.01, 100.0)
"""Between which one is sought: of a model that is always right the best is 0."""


def finite(logits: NDArray[np.floating]) -> Floats:
    """Logits to reckon with: infinity counts as the largest number of float32, what is not a number as the least.

    Args:
        logits: `[N, classes]`.
    """
    most = float(np.finfo(np.float32).max)
    return np.nan_to_num(logits.astype(np.float64), nan=-most, posinf=most, neginf=-most)


def log_probabilities(logits: Floats, temperature: float = 1.0) -> Floats:
    """Logarithms of the softmax of logits by a temperature, of Guo et al. 2017, equation 9.

    Args:
        logits: Finite, `[N, classes]`.
        temperature: Positive; above 1 it makes less sure.
    """
    return np.asarray(log_softmax((logits - logits.max(1, keepdims=True)) / temperature, axis=1))


def nll(log_probs: Floats, labels: Ints) -> float:
    """Negative log-likelihood of the labels, in nats: the mean over the images.

    Not `sklearn.metrics.log_loss`, which is never above 36 for an image.

    Args:
        log_probs: `[N, classes]`.
        labels: `[N]`.
    """
    return float(-log_probs[np.arange(len(labels)), labels].mean())


def brier(log_probs: Floats, labels: Ints) -> float:
    """Squared distance of the probabilities from the label, from 0 to 2 (Brier 1950, equation 2).

    Of two classes, too: it is not halved.

    Args:
        log_probs: `[N, classes]`.
        labels: `[N]`.
    """
    classes = np.arange(log_probs.shape[1])
    return float(brier_score_loss(labels, np.exp(log_probs), labels=classes, scale_by_half=False))


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """The temperature of the least negative log-likelihood (Guo et al. 2017, section 4.2).

    Args:
        logits: Finite, of clean validation images, `[N, classes]`; N is not 0.
        labels: `[N]`.

    Returns:
        One within `TEMPERATURES`; above 1 the model is too sure.
    """
    below = logits - logits.max(1, keepdims=True)
    label = below[np.arange(len(labels)), labels]

    def loss(log_temperature: float) -> float:
        inverse = np.exp(-log_temperature)
        return float(np.mean(np.log(np.exp(below * inverse).sum(1)) - label * inverse))

    found = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def equal_width(confidence: Floats, bins: int = BINS) -> Ints:
    """The bin of each image: bin m, from 0, is of confidences in (m / bins, (m + 1) / bins], the first with 0.

    Args:
        confidence: In [0, 1], `[N]`.
        bins: How many.
    """
    return np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)


def equal_mass(confidence: Floats, bins: int = BINS) -> Ints:
    """The bin of each image where each holds as many (Nixon et al. 2019, section 4); equal confidences share one.

    Args:
        confidence: In [0, 1], `[N]`.
        bins: How many.
    """
    below = rankdata(confidence, method="min").astype(np.int64) - 1
    return below * bins // max(1, len(confidence))


def ece(confidence: Floats, correct: Bools, numbers: Ints) -> float:
    """Expected calibration error (Naeini et al. 2015; Guo et al. 2017, equation 3).

    The mean over the images of how far the accuracy of their bin is from its mean confidence, a fraction.

    Args:
        confidence: Probability of the answer, `[N]`.
        correct: Whether it is right, `[N]`.
        numbers: The bin of each image, `[N]`.
    """
    return float(np.abs(np.bincount(numbers, confidence - correct)).sum() / len(confidence))


def ece_interval(
    confidence: Floats, correct: Bools, numbers: Ints, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Bootstrap interval of the calibration error, over the images.

    Chance alone gives a calibrated model an error above 0, and resampling adds as much again, so that an interval of
    percentiles leaves out the truth. Its lower end is therefore that of the basic interval (Davison and Hinkley 1997,
    section 5.2), and 0 where chance alone could give such an error: where so much lies between a resample and the
    images, bin by bin. Its upper end is that of percentiles, as far above the estimate as the lower one is below.

    Args:
        confidence: Probability of the answer, `[N]`.
        correct: Whether it is right, `[N]`.
        numbers: The bin of each image, `[N]`.
        resamples: How many.
        seed: Of the resamples.
        level: Confidence of the interval.
    """
    count = len(confidence)
    gaps = np.zeros((count, int(numbers.max()) + 1), np.float32)
    gaps[np.arange(count), numbers] = confidence - correct
    again = _draws(count, resamples, seed) @ gaps / count
    here = ece(confidence, correct, numbers)
    by_chance = np.quantile(np.abs(again - gaps.mean(0)).sum(1), level)
    high = max(here, float(np.quantile(np.abs(again).sum(1), (1 + level) / 2)))
    return 0.0 if here <= by_chance else max(0.0, 2 * here - high), high


@lru_cache(maxsize=1)  # the runs of a comparison have as many images each
def _draws(count: int, resamples: int, seed: int) -> NDArray[np.float32]:
    """How often each image is drawn in each resample, `[resamples, count]`."""
    generator = np.random.default_rng(seed)
    drawn = [np.bincount(generator.integers(count, size=count), minlength=count) for _ in range(resamples)]
    return np.array(drawn, np.float32)


class Bins(NamedTuple):
    """What is in the bins of a reliability diagram that are not empty, each `[bins]`.

    Attributes:
        confidence: The mean.
        accuracy: A fraction.
        weight: Share of the images.
    """

    confidence: Floats
    accuracy: Floats
    weight: Floats


def reliability_bins(confidence: Floats, correct: Bools, numbers: Ints) -> Bins:
    """The bins of a reliability diagram (Niculescu-Mizil and Caruana 2005; Guo et al. 2017, section 2).

    Args:
        confidence: Probability of the answer, `[N]`.
        correct: Whether it is right, `[N]`.
        numbers: The bin of each image, `[N]`.
    """
    count = np.bincount(numbers)
    filled = count > 0
    sure, right = (np.bincount(numbers, weights)[filled] / count[filled] for weights in (confidence, correct))
    return Bins(sure, right, count[filled] / len(confidence))
