"""Compare two classifiers on the same examples: all of them, parts of them, and those that changed sides."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from nli_core.arrays import Bools
from nli_core.errors import UserError
from nli_core.evaluation.columns import (
    PREDICTED,
    TEXTS,
    TRUE,
    certainty,
    claims,
    is_multi_label,
    labels_in,
    which_labels,
)
from nli_core.evaluation.metrics import calibration_error
from nli_core.evaluation.multi_label import Score, f1_differences
from nli_core.evaluation.significance import Paired, paired_difference
from nli_core.evaluation.slices import slices
from nli_core.intervals import proportion_interval

ALL = "all"
_BINS = 15


@dataclass(frozen=True)
class Accuracy:
    """The share of right answers and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Part:
    """Both classifiers on a part of the examples."""

    name: str
    first: Accuracy
    second: Accuracy
    paired: Paired


@dataclass(frozen=True)
class Comparison:
    """The part `all`, then the others; and every example that one of the two gets right and the other does not.

    `first_ece` and `second_ece` are the calibration errors of both, over equal bins. Of multi-label models `scores` has
    how much better the second one's micro and macro F1 are.
    `changed` has the columns id, the texts, label, first, second (what each predicts), and certainty, the second's
    probability of its answer; errors of the second come first, the most certain on top. Predictions of earlier versions
    have no texts.
    """

    parts: list[Part]
    first_ece: float
    second_ece: float
    changed: pl.DataFrame
    scores: Sequence[Score] = ()


def compare(first: pl.DataFrame, second: pl.DataFrame) -> Comparison:
    """Compare predictions as evaluate leaves them. Parts are those of the first's `tokens` and `overlap`.

    Raises:
        UserError: the two are not about the same examples.
    """
    joined = first.join(second, on="id", suffix="_second", maintain_order="left")
    if not joined.height == first.height == second.height or (joined["label"] != joined["label_second"]).any():
        raise UserError("the predictions are of different examples; evaluate both on the same test set")
    rights = [(joined["label"] == joined[name]).to_numpy() for name in ("predicted", "predicted_second")]
    everything: Bools = rights[0] | True
    parts = [_part(name, rows, *rights) for name, rows in {ALL: everything, **slices(first)}.items()]
    texts = [name for name in TEXTS if name in first.columns]
    sure = second.select("id", certainty=certainty(second))
    changed = (
        joined.join(sure, on="id", maintain_order="left")
        .filter(pl.Series(rights[0] != rights[1]))
        .sort(pl.col("predicted") != pl.col("label"), -pl.col("certainty"), "id")
        .select("id", *texts, "label", first="predicted", second="predicted_second", certainty="certainty")
    )
    first_ece, second_ece = (calibration_error(*claims(each), bins=_BINS) for each in (first, second))
    return Comparison(parts, first_ece, second_ece, changed, _scores(first, second))


def _scores(first: pl.DataFrame, second: pl.DataFrame) -> list[Score]:
    """Compare the F1 of two multi-label models of the same labels; of others there is nothing to add to accuracy."""
    if not is_multi_label(first) or set(labels_in(first)) != set(labels_in(second)) or not is_multi_label(second):
        return []
    second, labels = first.select("id").join(second, on="id", maintain_order="left"), labels_in(first)
    before, after = (which_labels(each, PREDICTED, labels) for each in (first, second))
    return f1_differences(before, after, which_labels(first, TRUE, labels))


def _part(name: str, rows: Bools, first: Bools, second: Bools) -> Part:
    return Part(name, _accuracy(first[rows]), _accuracy(second[rows]), paired_difference(first[rows], second[rows]))


def _accuracy(right: Bools) -> Accuracy:
    correct, examples = int(right.sum()), len(right)
    return Accuracy(correct / examples, *proportion_interval(correct, examples))
