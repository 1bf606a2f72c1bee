"""The oracle is a simulation whose variances over seeds and examples are known."""

import numpy as np
import pytest

from nli_core.arrays import Bools
from nli_core.evaluation.seeds import compare_groups, summarize_seeds, summarize_values

EXAMPLES, SEED_DEVIATION, EXAMPLE_DEVIATION = 400, 0.04, 0.2


def _group(random: np.random.Generator, seeds: int, examples: np.ndarray, mean: float = 0.6) -> Bools:  # type: ignore[type-arg]
    """Answers that are right with a chance that depends on the seed and on the example."""
    chance = mean + random.normal(scale=SEED_DEVIATION, size=(seeds, 1)) + examples
    return random.uniform(size=chance.shape) < chance


def _examples(random: np.random.Generator) -> np.ndarray:  # type: ignore[type-arg]
    return random.choice([-EXAMPLE_DEVIATION, EXAMPLE_DEVIATION], size=EXAMPLES)


@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_have_the_known_variance_and_cover_the_mean(seeds: int) -> None:
    random = np.random.default_rng(1)
    summaries = [summarize_seeds(_group(random, seeds, _examples(random))) for _ in range(80)]
    residual = 0.6 * 0.4 - EXAMPLE_DEVIATION**2 - SEED_DEVIATION**2
    variance = SEED_DEVIATION**2 / seeds + EXAMPLE_DEVIATION**2 / EXAMPLES + residual / (seeds * EXAMPLES)
    means = np.array([each.mean for each in summaries])
    assert means.std() == pytest.approx(np.sqrt(variance), rel=0.2)  # the simulation itself
    assert np.mean([each.error**2 for each in summaries]) == pytest.approx(variance, rel=0.2)
    covered = np.mean([each.low <= 0.6 <= each.high for each in summaries])
    assert 0.9 <= covered <= 0.99
    assert all(each.least <= each.mean <= each.most for each in summaries)


def test_a_difference_between_recipes_shows_and_one_between_seeds_does_not() -> None:
    random = np.random.default_rng(2)
    examples = _examples(random)
    base = _group(random, 8, examples)
    better = compare_groups(base, _group(random, 8, examples, mean=0.75))
    assert better.low > 0
    assert better.p_value < 0.001
    alike = [
        compare_groups(_group(random, 4, shared), _group(random, 4, shared))
        for shared in (_examples(random) for _ in range(40))
    ]
    assert np.mean([each.p_value < 0.05 for each in alike]) < 0.12
    # McNemar's test on one seed of each would call most of these differences real.
    assert np.mean([each.detectable for each in alike]) > 2 * SEED_DEVIATION / np.sqrt(4)


def test_what_could_be_detected_is_detected_four_times_out_of_five() -> None:
    random = np.random.default_rng(3)
    found = []
    for _ in range(40):
        shared = _examples(random)
        found.append(compare_groups(_group(random, 10, shared), _group(random, 10, shared, mean=0.6 + 0.055)))
    assert np.mean([each.detectable for each in found]) == pytest.approx(0.055, rel=0.25)
    assert 0.6 < np.mean([each.p_value < 0.05 for each in found]) <= 0.97


def test_one_seed_has_the_interval_of_its_examples() -> None:
    right = np.arange(1000).reshape(1, -1) < 700
    summary = summarize_seeds(right)
    assert (summary.seeds, summary.least, summary.most) == (1, 0.7, 0.7)
    assert (summary.low, summary.high) == (pytest.approx(0.672, abs=0.005), pytest.approx(0.728, abs=0.005))
    same = compare_groups(right, right)
    assert (same.difference, same.p_value) == (0.0, 1.0)


def test_other_figures_are_summarized_over_seeds_alone() -> None:
    summary = summarize_values([0.1, 0.2, 0.3])
    assert (summary.mean, summary.least, summary.most) == (pytest.approx(0.2), 0.1, 0.3)
    assert summary.low < 0.2 < summary.high
    one = summarize_values([0.5])
    assert (one.low, one.high) == (0.5, 0.5)
