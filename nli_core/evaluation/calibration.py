"""Whether probabilities mean what they say: one temperature for all logits (Guo et al., 2017), and what follows.

The temperature is fitted on dev and reported on test. It changes no label.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar

from nli_core.arrays import Bools, Floats, Ints
from nli_core.data.examples.targets import Targets
from nli_core.evaluation.outcomes import Outcomes
from nli_core.intervals import CONFIDENCE

PRECISIONS = (0.9, 0.95, 0.99)
LEAST_EXAMPLES = 50  # of dev, to fit a temperature or a threshold to
_MOST_LOG = 3.0  # of the temperature: between a twentieth and twenty
_MOST_DRAWN, _LEAST_RESAMPLES, _MOST_RESAMPLES = 10_000_000, 100, 1000


def fit_temperature(logits: Floats, targets: Targets) -> float:
    """Find the temperature that makes the targets most likely; `logits` [examples, labels] are those of dev.

    It is 1 where dev has few examples.
    """
    if len(targets) < LEAST_EXAMPLES:
        return 1.0
    rows = np.arange(len(targets))

    def loss(log: float) -> float:
        scaled = logits / np.exp(log)
        if targets.ndim == 1:
            return float(-torch.log_softmax(torch.from_numpy(scaled), dim=1).numpy()[rows, targets].mean())
        return float((np.logaddexp(0, scaled) - targets * scaled).mean())

    found = minimize_scalar(loss, bounds=(-_MOST_LOG, _MOST_LOG), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(found.x))


def calibration_metrics(outcomes: Outcomes, *, bins: int) -> dict[str, float]:
    """Compute NLL, Brier score and calibration error, each with its 95 % bootstrap interval.

    The Brier score is the mean over examples of the squared distance to the truth (Brier, 1950): 0 to 2, and 0 to 1 of
    a multi-label model, since it is the mean over labels then.
    """
    gaps = outcomes.claims - outcomes.truths
    bin_of = np.minimum((outcomes.claims * bins).astype(np.int64), bins - 1)

    def error(chosen: Ints) -> float:
        drawn = bin_of[chosen].ravel()
        return float(np.abs(np.bincount(drawn, weights=gaps[chosen].ravel(), minlength=bins)).sum() / len(drawn))

    measures: dict[str, Callable[[Ints], float]] = {
        "nll": lambda chosen: float(outcomes.losses[chosen].mean()),
        "brier": lambda chosen: float(outcomes.squares[chosen].mean()),
        "ece": error,
    }
    rows = np.arange(len(outcomes.right))
    ends = _bootstrap(list(measures.values()), outcomes.claims.size, len(rows))
    metrics: dict[str, float] = {}
    for (name, measure), (low, high) in zip(measures.items(), ends, strict=True):
        metrics |= {name: measure(rows), f"{name}_low": low, f"{name}_high": high}
    return metrics


def risk_coverage(outcomes: Outcomes) -> tuple[Floats, Floats]:
    """Return coverage and risk: of the surest examples, each share and how many of these answers are wrong."""
    wrong, order = _wrong_by_certainty(outcomes)
    counts = np.arange(1, len(order) + 1)
    return counts / len(order), np.cumsum(wrong[order]) / counts


def thresholds(dev: Outcomes, test: Outcomes) -> list[dict[str, Any]]:
    """Find, for 90, 95 and 99 % precision, the least probability above which dev's answers have it.

    Each has that `threshold` (None: dev has no such part of 50 examples), and the coverage and precision of it on test.
    """
    return [_threshold(precision, dev, test) for precision in PRECISIONS]


def _threshold(precision: float, dev: Outcomes, test: Outcomes) -> dict[str, Any]:
    wrong, order = _wrong_by_certainty(dev)
    certainty = dev.certainty[order]
    precise = 1 - np.cumsum(wrong[order]) / np.arange(1, len(order) + 1) >= precision
    precise[:-1] &= certainty[:-1] > certainty[1:]  # equal ones are answered together
    precise[: LEAST_EXAMPLES - 1] = False
    if not precise.any():
        return {"precision": precision, "threshold": None, "coverage": 0.0, "reached": None}
    threshold = float(certainty[np.flatnonzero(precise)[-1]])
    answered = test.certainty >= threshold
    reached = float(test.right[answered].mean()) if answered.any() else None
    return {"precision": precision, "threshold": threshold, "coverage": float(answered.mean()), "reached": reached}


def _wrong_by_certainty(outcomes: Outcomes) -> tuple[Bools, Ints]:
    """Return which answers are wrong, and the order of the examples: the surest first."""
    return ~outcomes.right, np.argsort(-outcomes.certainty, kind="stable")


def _bootstrap(measures: Sequence[Callable[[Ints], float]], claims: int, examples: int) -> list[tuple[float, float]]:
    """Compute the ends of the percentile interval of each measure over examples drawn again, from a fixed seed."""
    resamples = int(np.clip(_MOST_DRAWN // claims, _LEAST_RESAMPLES, _MOST_RESAMPLES))
    chance, tail = np.random.default_rng(0), (1 - CONFIDENCE) / 2
    values = np.empty((resamples, len(measures)))
    for row in values:
        chosen = chance.integers(examples, size=examples)
        row[:] = [measure(chosen) for measure in measures]
    low, high = np.quantile(values, [tail, 1 - tail], axis=0)
    return list(zip(map(float, low), map(float, high), strict=True))
