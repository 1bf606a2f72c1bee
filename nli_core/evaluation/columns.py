"""The columns of predictions as evaluate leaves them, and what they say.

There are id, the texts, `label` and `predicted` with the true and the given answer, `probability/LABEL`, and more. Of a
multi-label model `label/LABEL` and `predicted/LABEL` say whether the answers have the label.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from nli_core.arrays import Bools, Floats

TEXTS = ("premise", "hypothesis")
PROBABILITY = "probability/"
TRUE, PREDICTED = "label/", "predicted/"


def shown(answer: str) -> str:
    """Write an answer for people, who should see one without labels too."""
    return answer or "no label"


def labels_in(predictions: pl.DataFrame) -> list[str]:
    """Return the model's labels."""
    return [name.removeprefix(PROBABILITY) for name in predictions.columns if name.startswith(PROBABILITY)]


def is_multi_label(predictions: pl.DataFrame) -> bool:
    """Return whether the predictions are a multi-label model's."""
    return any(name.startswith(PREDICTED) for name in predictions.columns)


def probabilities(predictions: pl.DataFrame) -> Floats:
    """Return the probabilities [examples, labels]."""
    return predictions.select(f"{PROBABILITY}{label}" for label in labels_in(predictions)).to_numpy()


def which_labels(predictions: pl.DataFrame, prefix: str, labels: Sequence[str] | None = None) -> Bools:
    """Return which labels the true (`TRUE`) or the given answers (`PREDICTED`) have [examples, labels].

    The labels are in the given order, or in the model's.
    """
    return predictions.select(f"{prefix}{label}" for label in labels or labels_in(predictions)).to_numpy()


def rows_by_label(predictions: pl.DataFrame) -> dict[str, Bools]:
    """Select the examples of each label that has some [examples]."""
    if is_multi_label(predictions):
        found = {label: predictions[f"{TRUE}{label}"].to_numpy() for label in labels_in(predictions)}
        return {label: rows for label, rows in found.items() if rows.any()}
    labels = predictions["label"].unique().sort()
    return {label: (predictions["label"] == label).to_numpy() for label in labels}


def certainty(predictions: pl.DataFrame) -> pl.Series:
    """Compute the probability of each answer, in a multi-label model as if labels were independent."""
    found = probabilities(predictions)
    if is_multi_label(predictions):
        return pl.Series(np.where(which_labels(predictions, PREDICTED), found, 1 - found).prod(axis=1))
    return pl.Series(found.max(axis=1))


def claims(predictions: pl.DataFrame) -> tuple[Floats, Bools]:
    """Return probabilities that something is so, and whether it is: of each answer, or of each label of it."""
    if is_multi_label(predictions):
        return probabilities(predictions), which_labels(predictions, TRUE)
    return certainty(predictions).to_numpy(), (predictions["label"] == predictions["predicted"]).to_numpy()
