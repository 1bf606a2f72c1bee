import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from nli_core.intervals import proportion_interval, proportion_intervals


def test_wilsons_interval() -> None:
    # Newcombe (1998), table I: 81 of 263 gives 0.2553 to 0.3662 by Wilson's method without continuity correction.
    assert proportion_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    low, high = proportion_interval(10, 10)
    assert low < 1
    assert high == 1
    assert proportion_interval(0, 10)[0] == 0


def test_intervals_are_those_of_statsmodels() -> None:
    random = np.random.default_rng(0)
    totals = random.integers(1, 2000, 500)
    hits = random.integers(0, totals + 1)
    expected = proportion_confint(hits, totals, method="wilson")
    np.testing.assert_allclose(proportion_intervals(hits, totals), expected, atol=1e-12)
