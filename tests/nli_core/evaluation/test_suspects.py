import numpy as np
import polars as pl

from nli_core.evaluation.outcomes import Outcomes
from nli_core.evaluation.suspects import suspect_labels
from nli_core.model.answers import MultiLabel, SingleLabel


def test_planted_wrong_labels_are_found() -> None:
    """A model that is right nine times out of ten, and one label in twenty that is not the true one."""
    random = np.random.default_rng(0)
    true = random.integers(0, 3, 4000)
    logits = random.normal(size=(4000, 3)) + 3.5 * np.eye(3)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = random.random(4000) < 0.05
    given = np.where(flipped, (true + random.integers(1, 3, 4000)) % 3, true)
    labels = ("entailment", "contradiction", "neutral")
    names = np.array(labels)
    table = pl.DataFrame(
        {
            "id": np.arange(4000),
            "premise": [f"p{number}" for number in range(4000)],
            "label": names[given],
            "predicted": names[probabilities.argmax(axis=1)],
        }
    )
    found = suspect_labels(table, Outcomes.of(SingleLabel(labels=labels), probabilities, given))
    shown = [row["id"] for row in found["shown"]]
    precision = np.mean(flipped[shown])
    assert len(shown) == 20
    assert precision >= 0.9
    assert 0.6 * flipped.sum() < found["count"] < 2 * flipped.sum()
    assert {"premise", "label", "predicted", "probability"} <= found["shown"][0].keys()


def test_one_class_alone_has_no_suspects() -> None:
    table = pl.DataFrame({"id": [0, 1], "premise": ["a", "b"], "label": ["x", "x"], "predicted": ["x", "y"]})
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    outcomes = Outcomes.of(SingleLabel(labels=("x", "y")), probabilities, np.array([0, 0]))
    assert suspect_labels(table, outcomes) == {"count": 0, "shown": []}


def test_planted_wrong_labels_of_several_are_found() -> None:
    """One of three labels is the wrong way round in one example of twenty; no example has the fourth."""
    random = np.random.default_rng(0)
    true = random.random((2000, 4)) < (0.5, 0.3, 0.2, 0)
    probabilities = 1 / (1 + np.exp(-random.normal(size=true.shape) - np.where(true, 3.0, -3.0)))
    flipped = random.random(2000) < 0.05
    given = true.copy()
    rows = np.flatnonzero(flipped)
    columns = random.integers(0, 3, len(rows))
    given[rows, columns] ^= True
    answers = MultiLabel(labels=("a", "b", "c", "d"), separator=",", thresholds=(0.5,) * 4)
    outcomes = Outcomes.of(answers, probabilities, given)
    texts = {"label": answers.texts(given), "predicted": answers.texts(outcomes.chosen)}
    table = pl.DataFrame({"id": np.arange(2000), "premise": [f"p{number}" for number in range(2000)], **texts})
    found = suspect_labels(table, outcomes)
    assert np.mean(flipped[[row["id"] for row in found["shown"]]]) >= 0.9
    assert 0.5 * flipped.sum() < found["count"] < 3 * flipped.sum()
