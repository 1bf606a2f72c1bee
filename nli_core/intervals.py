"""Intervals of proportions, and draws for those of anything else."""

import numpy as np
from scipy import stats

from nli_core.arrays import Floats, Ints

CONFIDENCE = 0.95


def draw_again(chance: np.random.Generator, examples: int, times: int) -> Ints:
    """Draw as many examples with replacement, several times: how often each is drawn, [times, examples]."""
    drawn = (chance.integers(examples, size=examples) for _ in range(times))
    return np.stack([np.bincount(each, minlength=examples) for each in drawn])


def proportion_intervals(hits: Ints, totals: Ints) -> tuple[Floats, Floats]:
    """Compute both ends of the 95 % interval of each proportion (Wilson, 1927).

    It stays within [0, 1] and suits small samples. `totals` are 1 at least.
    """
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    share, spread = hits / totals, z**2 / totals
    centre = (share + spread / 2) / (1 + spread)
    half = np.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
    low, high = centre - half, centre + half
    # At the ends rounding would leave a little more or less than nothing and all.
    return np.where(hits == 0, 0.0, low), np.where(hits == totals, 1.0, high)


def proportion_interval(hits: int, total: int) -> tuple[float, float]:
    """Compute both ends of the 95 % interval of one proportion."""
    low, high = proportion_intervals(np.array([hits]), np.array([total]))
    return float(low[0]), float(high[0])
