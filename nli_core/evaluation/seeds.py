"""What several seeds of one recipe say together: means with intervals over seeds and examples, and their differences.

A figure of one seed says little of the recipe (McCoy et al., 2020, "BERTs of a feather do not generalize together").
The bootstrap draws seeds and examples, both with replacement. So it counts what is peculiar to a seed and an example
several times (Owen, 2007, "The pigeonhole bootstrap"). Its deviations are scaled to the unbiased variance of a two-way
layout. Student's t is for the few degrees of freedom of few seeds (Satterthwaite, 1946).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from nli_core.arrays import Bools, Floats
from nli_core.intervals import CONFIDENCE, draw_again

_RESAMPLES = 2000
_CHUNK = 200
_POWER = 0.8
_TAIL = (1 - CONFIDENCE) / 2


@dataclass(frozen=True)
class SeedSummary:
    """The mean of a figure over seeds, its standard error and 95 % interval, and the seeds' least and largest value.

    The interval of a single seed is over examples alone.
    """

    seeds: int
    mean: float
    error: float
    low: float
    high: float
    least: float
    most: float


@dataclass(frozen=True)
class GroupDifference:
    """How much better the second group of seeds is on the same examples: the difference of the means.

    `detectable` is the smallest difference that these seeds and examples would show four times out of five.
    """

    examples: int
    first: SeedSummary
    second: SeedSummary
    difference: float
    low: float
    high: float
    p_value: float
    detectable: float


@dataclass(frozen=True)
class _Spread:
    """The standard error of a mean, or of a difference of means, and its degrees of freedom."""

    error: float
    degrees: float

    @classmethod
    def of(cls, groups: Sequence[Bools]) -> "_Spread":
        """Estimate it from answers [seeds, examples] of one group, or of two: for their difference."""
        signed = [group.mean(axis=0) * sign for group, sign in zip(groups, (1, -1), strict=False)]
        by_example = np.sum(signed, axis=0)
        examples = len(by_example)
        of_examples = float(by_example.var(ddof=1)) / examples
        of_seeds = [float(group.mean(axis=1).var(ddof=1)) / len(group) for group in groups if len(group) > 1]
        twice = sum(_residual(group) / group.size for group in groups if len(group) > 1)  # in both of the above
        variance = max(of_examples + sum(of_seeds) - twice, of_examples / 2)
        counts = [len(group) - 1 for group in groups if len(group) > 1]
        uncertain = sum(part**2 / count for part, count in zip(of_seeds, counts, strict=True))
        uncertain += of_examples**2 / (examples - 1)
        return cls(variance**0.5, variance**2 / uncertain if uncertain else np.inf)

    def quantile(self, share: float) -> float:
        """Return the quantile of Student's t."""
        return float(stats.t.ppf(share, self.degrees)) if np.isfinite(self.degrees) else float(stats.norm.ppf(share))

    def ends(self, centre: float, drawn: Floats) -> tuple[float, float]:
        """Return the ends of the 95 % interval: those of the draws, around the centre and as wide as they should be."""
        if drawn.std() == 0:
            return centre, centre
        scale = self.error / drawn.std() * self.quantile(1 - _TAIL) / stats.norm.ppf(1 - _TAIL)
        low, high = np.quantile(centre + (drawn - drawn.mean()) * scale, [_TAIL, 1 - _TAIL])
        return float(low), float(high)


def summarize_seeds(right: Bools, *, seed: int = 0) -> SeedSummary:
    """Summarize which answers are right [seeds, examples]; there must be two examples at least."""
    (drawn,) = _draws([right], seed)
    return _summary(right, drawn)


def compare_groups(first: Bools, second: Bools, *, seed: int = 0) -> GroupDifference:
    """Compare two groups of seeds by which answers are right: [seeds, examples] each, of the same examples.

    Examples are drawn together for both groups, seeds for each group alone. The p value is that of Student's t.
    """
    draws = _draws([first, second], seed)
    spread, difference = _Spread.of([first, second]), float(second.mean() - first.mean())
    low, high = spread.ends(difference, draws[1] - draws[0])
    ratio = abs(difference) / spread.error if spread.error else 0.0
    p_value = float(2 * stats.t.sf(ratio, spread.degrees)) if spread.error else float(difference == 0)
    return GroupDifference(
        examples=first.shape[1],
        first=_summary(first, draws[0]),
        second=_summary(second, draws[1]),
        difference=difference,
        low=low,
        high=high,
        p_value=p_value,
        detectable=(spread.quantile(1 - _TAIL) + spread.quantile(_POWER)) * spread.error,
    )


def summarize_values(values: Sequence[float], *, most: float = np.inf) -> SeedSummary:
    """Summarize a figure of each seed that is from 0 to `most`; its interval (t) is over seeds alone."""
    by_seed = np.array(values)
    seeds, mean = len(by_seed), float(by_seed.mean())
    error = float(by_seed.std(ddof=1) / seeds**0.5) if seeds > 1 else 0.0
    half = float(stats.t.ppf(1 - _TAIL, seeds - 1)) * error if seeds > 1 else 0.0
    low, high = max(mean - half, 0.0), min(mean + half, most)
    return SeedSummary(seeds, mean, error, low, high, float(by_seed.min()), float(by_seed.max()))


def _draws(groups: Sequence[Bools], seed: int) -> list[Floats]:
    """Draw the mean of each group [resamples]; all groups share the examples of a resample."""
    chance, examples = np.random.default_rng(seed), groups[0].shape[1]
    means: list[list[Floats]] = [[] for _ in groups]
    for _ in range(_RESAMPLES // _CHUNK):
        weights = draw_again(chance, examples, _CHUNK).astype(np.float32) / examples
        for group, found in zip(groups, means, strict=True):
            by_seed = weights @ group.T.astype(np.float32)  # [resamples, seeds]
            seeds = len(group)
            of_seeds = chance.multinomial(seeds, np.full(seeds, 1 / seeds), size=_CHUNK) / seeds
            found.append((of_seeds * by_seed).sum(axis=1))
    return [np.concatenate(found) for found in means]


def _residual(right: Bools) -> float:
    """Estimate the variance that neither the seed nor the example explains."""
    values = right.astype(np.float64)
    rest = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    seeds, examples = values.shape
    return float((rest**2).sum() / ((seeds - 1) * max(examples - 1, 1)))


def _summary(right: Bools, drawn: Floats) -> SeedSummary:
    by_seed, spread = right.mean(axis=1), _Spread.of([right])
    mean = float(by_seed.mean())
    low, high = np.clip(spread.ends(mean, drawn), 0.0, 1.0)
    ends = float(low), float(high), float(by_seed.min()), float(by_seed.max())
    return SeedSummary(len(by_seed), mean, spread.error, *ends)
