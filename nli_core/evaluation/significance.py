"""Whether one classifier is better than another on the same examples.

Only the examples that exactly one of them gets right say anything about that (McNemar, 1947).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nli_core.arrays import Bools
from nli_core.intervals import CONFIDENCE

SIGNIFICANT = 0.05
_RESAMPLES = 10_000


@dataclass(frozen=True)
class Paired:
    """How two classifiers do on the same examples.

    `difference` is the second's accuracy less the first's, `low` and `high` its 95 % bootstrap interval, `p_value` that
    of McNemar's exact test of no difference. `only_first` and `only_second` count what that one alone gets right.
    """

    examples: int
    both: int
    only_first: int
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float


def paired_difference(first: Bools, second: Bools, *, seed: int = 0) -> Paired:
    """Compare which examples [examples] two classifiers get right; there must be one at least."""
    examples, both = len(first), int((first & second).sum())
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    # Drawing examples with replacement is drawing how many of them each one alone gets right.
    shares = np.array([only_first, only_second, examples - only_first - only_second]) / examples
    draws = np.random.default_rng(seed).multinomial(examples, shares, size=_RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile((draws[:, 1] - draws[:, 0]) / examples, [tail, 1 - tail])
    return Paired(
        examples=examples,
        both=both,
        only_first=only_first,
        only_second=only_second,
        difference=(only_second - only_first) / examples,
        low=float(low),
        high=float(high),
        p_value=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Compute the p value of the exact two-sided test that the two are right equally often."""
    unequal = only_first + only_second
    return float(stats.binomtest(only_first, unequal).pvalue) if unequal else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust the p values of several tests, to keep the chance of any false alarm at that of one (Holm, 1979)."""
    order = np.argsort(p_values, kind="stable")
    steps = np.array(p_values)[order] * np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in adjusted]
