import numpy as np
import pytest
from sklearn.metrics import f1_score

from nli_core.arrays import Floats, Ints
from nli_core.evaluation.metrics import (
    calibration_error,
    classification_metrics,
    confusion,
    f1_interval,
    f1_scores,
    label_counts,
)
from nli_core.evaluation.outcomes import Outcomes
from nli_core.model.answers import SingleLabel

LABELS = ("a", "b", "c")
# Six examples; four are right. The confidences are 0.8, 0.6, 0.6, 0.8, 0.8 and 0.6.
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]
)
LABEL_IDS = np.array([0, 1, 1, 1, 2, 0])


def _outcomes(probabilities: Floats, label_ids: Ints) -> Outcomes:
    return Outcomes.of(SingleLabel(labels=LABELS[: probabilities.shape[1]]), probabilities, label_ids)


def test_metrics_of_an_example_worked_out_by_hand() -> None:
    metrics = classification_metrics(_outcomes(PROBABILITIES, LABEL_IDS), LABELS, bins=10)
    assert metrics["examples"] == 6
    assert metrics["accuracy"] == pytest.approx(4 / 6)
    assert metrics["precision/a"] == pytest.approx(1 / 2)
    assert metrics["recall/a"] == pytest.approx(1 / 2)
    assert metrics["precision/b"] == pytest.approx(1)
    assert metrics["recall/b"] == pytest.approx(2 / 3)
    assert metrics["f1/b"] == pytest.approx(0.8)
    assert metrics["precision/c"] == pytest.approx(1 / 2)
    assert metrics["macro_f1"] == pytest.approx((0.5 + 0.8 + 2 / 3) / 3)
    assert metrics["loss"] == pytest.approx(-np.log([0.8, 0.2, 0.6, 0.8, 0.8, 0.2]).mean())
    # Of the three with confidence 0.8 all are right, of the three with 0.6 one is.
    assert metrics["ece"] == pytest.approx((abs(0.8 - 1) + abs(0.6 - 1 / 3)) / 2)


def test_rows_of_the_confusion_matrix_are_the_true_labels() -> None:
    assert confusion(_outcomes(PROBABILITIES, LABEL_IDS)).tolist() == [[1, 0, 1], [1, 2, 0], [0, 0, 1]]


def test_a_class_that_does_not_occur_is_no_error() -> None:
    metrics = classification_metrics(_outcomes(PROBABILITIES[:2], np.array([0, 0])), LABELS, bins=10)
    assert metrics["recall/c"] == metrics["precision/c"] == 0.0


def test_a_calibrated_model_has_no_calibration_error() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.5, 1.0, size=200_000)
    right = random.uniform(size=len(confidence)) < confidence
    assert calibration_error(confidence, right, bins=15) < 0.01
    assert calibration_error(np.full(1000, 0.99), np.arange(1000) % 2 == 0, bins=15) == pytest.approx(0.49)


@pytest.mark.slow
def test_intervals_of_f1_are_those_of_examples_drawn_again() -> None:
    source = np.random.default_rng(3)
    truth = source.integers(0, 3, 400)
    predicted = np.where(source.random(400) < 0.7, truth, source.integers(0, 3, 400))
    counts = label_counts(_outcomes(np.eye(3)[predicted], truth))
    assert f1_scores(counts) == pytest.approx(f1_score(truth, predicted, average=None))
    drawn = source.integers(0, 400, (2000, 400))
    scores = [f1_score(truth[rows], predicted[rows], average=None) for rows in drawn]
    expected = np.quantile(scores, [0.025, 0.975], axis=0)
    found = np.array([f1_interval(counts[index], 400) for index in range(3)])
    assert pytest.approx(expected, abs=0.01) == found.T
