"""Whether probabilities mean what they say: one temperature for all logits (Guo et al., 2017), and what follows.

The temperature is fitted on dev and reported on test. It changes no label.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from nli_core.arrays import Bools, Floats, Ints
from nli_core.intervals import CONFIDENCE

PRECISIONS = (0.9, 0.95, 0.99)
LEAST_EXAMPLES = 50  # of dev, to fit a temperature or a threshold to
_MOST_LOG = 3.0  # of the temperature: between a twentieth and twenty
_MOST_DRAWN, _LEAST_RESAMPLES, _MOST_RESAMPLES = 10_000_000, 100, 1000


def fit_temperature(logits: Floats, label_ids: Ints) -> float:
    """Find the temperature that makes the labels most likely; `logits` [examples, labels] are those of dev.

    It is 1 where dev has few examples.
    """
    if len(label_ids) < LEAST_EXAMPLES:
        return 1.0
    rows = np.arange(len(label_ids))

    def loss(log: float) -> float:
        return float(-_log_softmax(logits / np.exp(log))[rows, label_ids].mean())

    found = minimize_scalar(loss, bounds=(-_MOST_LOG, _MOST_LOG), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def softmax(logits: Floats) -> Floats:
    """Compute probabilities [examples, labels]."""
    probabilities: Floats = np.exp(_log_softmax(logits))
    return probabilities


def calibration_metrics(probabilities: Floats, label_ids: Ints, *, bins: int) -> dict[str, float]:
    """Compute NLL, Brier score and calibration error, each with its 95 % bootstrap interval.

    The Brier score is the mean over examples of the squared distance to the true answer (Brier, 1950): 0 to 2.
    """
    rows, labels = np.arange(len(label_ids)), probabilities.shape[1]
    likelihood = probabilities[rows, label_ids]
    losses = -np.log(np.maximum(likelihood, np.finfo(float).tiny))
    squares = ((probabilities - np.eye(labels)[label_ids]) ** 2).sum(axis=1)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == label_ids
    bin_of = np.minimum((confidence * bins).astype(np.int64), bins - 1)

    def error(chosen: Ints) -> float:
        gaps = np.bincount(bin_of[chosen], weights=(confidence - right)[chosen], minlength=bins)
        return float(np.abs(gaps).sum() / len(chosen))

    measures: dict[str, Callable[[Ints], float]] = {
        "nll": lambda chosen: float(losses[chosen].mean()),
        "brier": lambda chosen: float(squares[chosen].mean()),
        "ece": error,
    }
    ends = _bootstrap(list(measures.values()), len(label_ids))
    metrics: dict[str, float] = {}
    for (name, measure), (low, high) in zip(measures.items(), ends, strict=True):
        metrics |= {name: measure(rows), f"{name}_low": low, f"{name}_high": high}
    return metrics


def risk_coverage(probabilities: Floats, label_ids: Ints) -> tuple[Floats, Floats]:
    """Return coverage and risk: of the surest examples, each share and how many of these answers are wrong."""
    wrong, order = _wrong_by_confidence(probabilities, label_ids)
    counts = np.arange(1, len(order) + 1)
    return counts / len(order), np.cumsum(wrong[order]) / counts


def thresholds(dev: Floats, dev_ids: Ints, test: Floats, test_ids: Ints) -> list[dict[str, Any]]:
    """Find, for 90, 95 and 99 % precision, the least probability above which dev's answers have it.

    Each has that `threshold` (None: dev has no such part of 50 examples), and the coverage and precision of it on test.
    """
    return [_threshold(precision, dev, dev_ids, test, test_ids) for precision in PRECISIONS]


def _threshold(precision: float, dev: Floats, dev_ids: Ints, test: Floats, test_ids: Ints) -> dict[str, Any]:
    wrong, order = _wrong_by_confidence(dev, dev_ids)
    confidence = dev.max(axis=1)[order]
    precise = 1 - np.cumsum(wrong[order]) / np.arange(1, len(order) + 1) >= precision
    precise[:-1] &= confidence[:-1] > confidence[1:]  # equal ones are answered together
    precise[: LEAST_EXAMPLES - 1] = False
    if not precise.any():
        return {"precision": precision, "threshold": None, "coverage": 0.0, "reached": None}
    threshold = float(confidence[np.flatnonzero(precise)[-1]])
    answered = test.max(axis=1) >= threshold
    right = test.argmax(axis=1) == test_ids
    reached = float(right[answered].mean()) if answered.any() else None
    return {"precision": precision, "threshold": threshold, "coverage": float(answered.mean()), "reached": reached}


def _wrong_by_confidence(probabilities: Floats, label_ids: Ints) -> tuple[Bools, Ints]:
    """Return which answers are wrong, and the order of the examples: the surest first."""
    wrong = probabilities.argmax(axis=1) != label_ids
    return wrong, np.argsort(-probabilities.max(axis=1), kind="stable")


def _bootstrap(measures: Sequence[Callable[[Ints], float]], examples: int) -> list[tuple[float, float]]:
    """Compute the ends of the percentile interval of each measure over examples drawn again, from a fixed seed."""
    resamples = int(np.clip(_MOST_DRAWN // examples, _LEAST_RESAMPLES, _MOST_RESAMPLES))
    chance, tail = np.random.default_rng(0), (1 - CONFIDENCE) / 2
    values = np.empty((resamples, len(measures)))
    for row in values:
        chosen = chance.integers(examples, size=examples)
        row[:] = [measure(chosen) for measure in measures]
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return list(zip(map(float, low), map(float, high), strict=True))


def _log_softmax(logits: Floats) -> Floats:
    shifted: Floats = torch.log_softmax(torch.from_numpy(logits).double(), dim=1).numpy()
    return shifted
