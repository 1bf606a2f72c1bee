"""Labels that are probably wrong, by confident learning (Northcutt et al., 2021): a model's own probabilities tell."""

import warnings
from typing import Any

import numpy as np
import polars as pl
from cleanlab.filter import find_label_issues
from cleanlab.multilabel_classification.filter import find_label_issues as find_multi_label_issues

from nli_core.evaluation.columns import TEXTS
from nli_core.evaluation.outcomes import Outcomes

_SHOWN = 20


def suspect_labels(predictions: pl.DataFrame, outcomes: Outcomes) -> dict[str, Any]:
    """Return how many labels are suspect, and the 20 most suspect: id, texts, label, predicted, and its probability.

    `outcomes` are those of the predictions. In a multi-label corpus an example counts whose labels are not all sure.
    """
    targets, ranked = outcomes.targets, {"return_indices_ranked_by": "self_confidence", "n_jobs": 1}
    if len(np.unique(targets, axis=0)) < 2:
        return {"count": 0, "shown": []}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues")  # of classes with few examples
        if targets.ndim == 1:
            order = find_label_issues(targets, outcomes.probabilities, **ranked)
        else:
            known = targets.any(axis=0) & ~targets.all(axis=0)  # what cleanlab can learn from
            labels = [np.flatnonzero(row).tolist() for row in targets[:, known]]
            order = find_multi_label_issues(labels, outcomes.probabilities[:, known], **ranked)
    texts = [name for name in TEXTS if name in predictions.columns]
    sure = pl.Series("probability", outcomes.certainty)
    shown = predictions.with_columns(sure).select("id", *texts, "label", "predicted", "probability")
    return {"count": len(order), "shown": shown[order[:_SHOWN].tolist()].to_dicts()}
