import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from nli_core.arrays import Floats, Ints
from nli_core.evaluation.calibration import (
    calibration_metrics,
    fit_temperature,
    risk_coverage,
    thresholds,
)
from nli_core.evaluation.metrics import calibration_error
from nli_core.evaluation.outcomes import Outcomes
from nli_core.model.answers import SingleLabel, softmax


def _outcomes(probabilities: Floats, label_ids: Ints) -> Outcomes:
    answers = SingleLabel(labels=tuple(map(str, range(probabilities.shape[1]))))
    return Outcomes.of(answers, probabilities, label_ids)


def _drawn(examples: int, temperature: float, seed: int = 0) -> tuple[Floats, Ints]:
    """Logits that are too large by this factor, and labels drawn from what they ought to mean."""
    random = np.random.default_rng(seed)
    logits = random.normal(scale=2.0, size=(examples, 3))
    labels = (softmax(logits).cumsum(axis=1) > random.uniform(size=(examples, 1))).argmax(axis=1)
    return logits * temperature, labels


@pytest.mark.parametrize("planted", [0.5, 1.0, 2.5])
def test_a_planted_temperature_is_found(planted: float) -> None:
    logits, labels = _drawn(50_000, planted)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(planted, rel=0.03)
    losses = [log_loss(labels, softmax(logits / (found * factor))) for factor in (0.98, 1, 1.02)]
    assert losses[1] == min(losses)


def test_calibration_changes_no_label_and_mends_the_error() -> None:
    logits, labels = _drawn(20_000, 3.0)
    other, other_labels = _drawn(20_000, 3.0, seed=1)
    temperature = fit_temperature(logits, labels)
    before, after = softmax(other), softmax(other / temperature)
    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    was, is_now = (calibration_metrics(_outcomes(each, other_labels), bins=15) for each in (before, after))
    for name in ("nll", "brier", "ece"):
        assert is_now[f"{name}_high"] < was[f"{name}_low"]
    assert is_now["ece"] < 0.01


def test_measures_are_those_of_scikit_learn_and_their_intervals_those_of_means() -> None:
    logits, labels = _drawn(4000, 1.5)
    probabilities = softmax(logits)
    outcomes = _outcomes(probabilities, labels)
    metrics = calibration_metrics(outcomes, bins=15)
    assert metrics["nll"] == pytest.approx(log_loss(labels, probabilities))
    ones = [brier_score_loss(labels == label, probabilities[:, label]) for label in range(3)]
    assert metrics["brier"] == pytest.approx(sum(ones))
    assert metrics["ece"] == pytest.approx(calibration_error(outcomes.claims, outcomes.truths, bins=15))
    losses = -np.log(probabilities[np.arange(len(labels)), labels])
    half = 1.96 * losses.std() / np.sqrt(len(losses))
    assert metrics["nll_low"] == pytest.approx(losses.mean() - half, abs=half / 5)
    assert metrics["nll_high"] == pytest.approx(losses.mean() + half, abs=half / 5)


def test_risk_and_coverage_worked_out_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    coverage, risk = risk_coverage(_outcomes(probabilities, np.array([0, 1, 1, 0])))  # right, wrong, right, wrong
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])


def test_thresholds_are_chosen_on_dev_and_reported_on_test() -> None:
    sure = (0.99, 0.95, 0.9, 0.9, 0.8, 0.7, 0.65, 0.6, 0.55, 0.51)
    dev = np.repeat(np.array([[p, 1 - p] for p in sure]), 10, axis=0)
    dev_ids = np.repeat(np.array([0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), 10)  # only the least sure answers are wrong
    test = np.array([[0.97, 0.03], [0.56, 0.44], [0.54, 0.46], [0.5, 0.5]])
    tested = _outcomes(test, np.array([0, 1, 0, 0]))
    found = {each["precision"]: each for each in thresholds(_outcomes(dev, dev_ids), tested)}
    assert found[0.9] == {"precision": 0.9, "threshold": 0.51, "coverage": 0.75, "reached": pytest.approx(2 / 3)}
    assert found[0.99] == {"precision": 0.99, "threshold": 0.55, "coverage": 0.5, "reached": 0.5}
    for nobody in (
        thresholds(_outcomes(dev, 1 - dev_ids), tested)[2],
        thresholds(_outcomes(dev[:49], dev_ids[:49]), tested)[0],  # too few to say
    ):
        assert (nobody["threshold"], nobody["coverage"], nobody["reached"]) == (None, 0.0, None)


def test_few_examples_of_dev_fit_no_temperature() -> None:
    logits, labels = _drawn(49, 3.0)
    assert fit_temperature(logits, labels) == 1.0
