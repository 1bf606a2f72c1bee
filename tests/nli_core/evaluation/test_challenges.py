import numpy as np
import polars as pl
import pytest

from nli_core.evaluation.challenges import challenge_facts, challenge_metrics, summed_probabilities

LABELS = ("entailment", "neutral", "contradiction")
PROBABILITIES = np.array([[0.4, 0.3, 0.3], [0.5, 0.1, 0.4], [0.1, 0.6, 0.3]])


def test_labels_that_mean_several_have_their_summed_probability() -> None:
    means = {"entailment": ["entailment"], "non-entailment": ["neutral", "contradiction"]}
    answers, summed = summed_probabilities(PROBABILITIES, LABELS, means)
    assert answers == ["entailment", "non-entailment"]
    assert summed.argmax(axis=1).tolist() == [1, 0, 1]  # 0.4 against 0.6: not the largest of three
    np.testing.assert_allclose(summed.sum(axis=1), 1)


def test_a_label_of_the_model_that_nothing_means_is_an_answer_and_wrong() -> None:
    means: dict[str, list[str]] = {"yes": ["entailment"], "maybe": [], "no": ["contradiction"]}
    answers, summed = summed_probabilities(PROBABILITIES, LABELS, means)
    assert answers == ["yes", "no", "neutral"]
    assert [answers[index] for index in summed.argmax(axis=1)] == ["yes", "yes", "neutral"]


def test_labels_with_the_same_meaning_are_one_answer() -> None:
    means = {"yes": ["entailment"], "no": ["contradiction"], "never": ["contradiction"], "maybe": ["neutral"]}
    answers, summed = summed_probabilities(PROBABILITIES, LABELS, means)
    assert answers == ["yes", "no", "maybe"]
    np.testing.assert_allclose(summed, PROBABILITIES[:, [0, 2, 1]])


def test_metrics_by_group_and_label_worked_out_by_hand() -> None:
    predictions = pl.DataFrame(
        {
            "label": ["yes", "no", "no", "maybe"],
            "predicted": ["yes", "yes", "no", "no"],
            "group": ["short", "short", "long", ""],
        }
    )
    metrics = challenge_metrics("mine", predictions)
    accuracies = {name: value for name, value in metrics.items() if name.endswith("/accuracy")}
    assert accuracies == {
        "challenge/mine/accuracy": 0.5,
        "challenge/mine/label/maybe/accuracy": 0.0,
        "challenge/mine/label/no/accuracy": 0.5,
        "challenge/mine/label/yes/accuracy": 1.0,
        "challenge/mine/no group/accuracy": 0.0,
        "challenge/mine/no group/label/maybe/accuracy": 0.0,
        "challenge/mine/long/accuracy": 1.0,
        "challenge/mine/long/label/no/accuracy": 1.0,
        "challenge/mine/short/accuracy": 0.5,
        "challenge/mine/short/label/no/accuracy": 0.0,
        "challenge/mine/short/label/yes/accuracy": 1.0,
    }
    assert metrics["challenge/mine/accuracy_low"] < 0.5 < metrics["challenge/mine/accuracy_high"]
    facts = challenge_facts(predictions, {"yes": ["entailment"], "no": ["contradiction"], "maybe": []})
    assert facts["labels"] == {"maybe": 1, "no": 2, "yes": 1}
    assert facts["predicted"] == {"no": 2, "yes": 2}
    assert (facts["never_predicted"], facts["unsayable"]) == ([], ["maybe"])
    assert facts["groups"] == ["no group", "long", "short"]
    silent = challenge_facts(
        predictions.with_columns(predicted=pl.lit("no")), {"yes": ["x"], "no": ["y"], "maybe": ["z"]}
    )
    assert silent["never_predicted"] == ["maybe", "yes"]
    assert pytest.approx(facts["examples"]) == 4
