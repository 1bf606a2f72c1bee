import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests

from nli_core.evaluation.significance import holm, mcnemar, paired_difference


def _answers(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Which examples each of two classifiers gets right."""
    counts = (both, only_first, only_second, neither)
    first = np.repeat([True, True, False, False], counts)
    second = np.repeat([True, False, True, False], counts)
    return first, second


@pytest.mark.parametrize("only", [(0, 0), (1, 0), (3, 9), (40, 61), (200, 199), (0, 12)])
def test_mcnemars_test_is_that_of_statsmodels(only: tuple[int, int]) -> None:
    table = [[50, only[0]], [only[1], 20]]
    assert mcnemar(*only) == pytest.approx(reference_mcnemar(table, exact=True).pvalue)


@pytest.mark.parametrize("counts", [(700, 60, 90, 150), (90, 4, 1, 5), (10, 0, 0, 10)])
def test_the_interval_is_that_of_a_bootstrap_over_examples(counts: tuple[int, int, int, int]) -> None:
    first, second = _answers(*counts)
    found = paired_difference(first, second)
    assert (found.both, found.only_first, found.only_second) == counts[:3]
    assert found.difference == pytest.approx(second.mean() - first.mean())
    steps = second.astype(float) - first
    if not steps.any():
        assert (found.low, found.high) == (0, 0)
        return
    reference = stats.bootstrap((steps,), np.mean, n_resamples=10_000, method="percentile", rng=1).confidence_interval
    step = 2 / len(steps)  # quantiles of counts over examples jump
    assert found.low == pytest.approx(reference.low, abs=step)
    assert found.high == pytest.approx(reference.high, abs=step)


def test_a_comparison_is_a_function_of_its_examples() -> None:
    first, second = _answers(60, 7, 9, 24)
    order = np.random.default_rng(3).permutation(len(first))
    assert paired_difference(first, second) == paired_difference(first[order], second[order])


@pytest.mark.parametrize("p_values", [[0.04], [0.01, 0.04, 0.03], [0.5, 0.9, 0.001, 0.02, 0.02]])
def test_holms_correction_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())
