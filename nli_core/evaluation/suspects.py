"""Labels that are probably wrong, by confident learning (Northcutt et al., 2021): a model's own probabilities tell."""

import warnings
from typing import Any

import polars as pl
from cleanlab.filter import find_label_issues

from nli_core.arrays import Floats, Ints
from nli_core.evaluation.comparison import TEXTS

_SHOWN = 20


def suspect_labels(predictions: pl.DataFrame, probabilities: Floats, label_ids: Ints) -> dict[str, Any]:
    """Return how many labels are suspect, and the 20 most suspect: id, texts, label, predicted, and its probability.

    `probabilities` [examples, labels] and `label_ids` [examples] are those of the predictions.
    """
    if len(set(label_ids.tolist())) < 2:
        return {"count": 0, "shown": []}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")  # of classes with few examples
        order = find_label_issues(label_ids, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1)
    texts = [name for name in TEXTS if name in predictions.columns]
    sure = pl.Series("probability", probabilities.max(axis=1))
    shown = predictions.with_columns(sure).select("id", *texts, "label", "predicted", "probability")
    return {"count": len(order), "shown": shown[order[:_SHOWN].tolist()].to_dicts()}
