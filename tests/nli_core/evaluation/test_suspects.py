import numpy as np
import polars as pl

from nli_core.evaluation.suspects import suspect_labels


def test_planted_wrong_labels_are_found() -> None:
    """A model that is right nine times out of ten, and one label in twenty that is not the true one."""
    random = np.random.default_rng(0)
    true = random.integers(0, 3, 4000)
    logits = random.normal(size=(4000, 3)) + 3.5 * np.eye(3)[true]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    flipped = random.random(4000) < 0.05
    given = np.where(flipped, (true + random.integers(1, 3, 4000)) % 3, true)
    names = np.array(["entailment", "contradiction", "neutral"])
    table = pl.DataFrame(
        {
            "id": np.arange(4000),
            "premise": [f"p{number}" for number in range(4000)],
            "label": names[given],
            "predicted": names[probabilities.argmax(axis=1)],
        }
    )
    found = suspect_labels(table, probabilities, given)
    shown = [row["id"] for row in found["shown"]]
    precision = np.mean(flipped[shown])
    assert len(shown) == 20
    assert precision >= 0.9
    assert 0.6 * flipped.sum() < found["count"] < 2 * flipped.sum()
    assert {"premise", "label", "predicted", "probability"} <= found["shown"][0].keys()


def test_one_class_alone_has_no_suspects() -> None:
    table = pl.DataFrame({"id": [0, 1], "premise": ["a", "b"], "label": ["x", "x"], "predicted": ["x", "y"]})
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert suspect_labels(table, probabilities, np.array([0, 0])) == {"count": 0, "shown": []}
