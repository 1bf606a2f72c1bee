"""Words that give a label away, and the lengths of texts by label.

Without artifacts a word says nothing about the label: of each label it has that label's share of examples. A word that
has significantly more is a give-away (Gardner et al., 2021, "Competency Problems", section 3).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from nli_core.audit.words import words
from nli_core.intervals import proportion_intervals

_SIGNIFICANT = 0.01  # after correction for the number of words and labels (Bonferroni)
_SHOWN = 10  # words of a label
_MOST_WORDS = 1 << 20  # that are counted: of more, the rarest are dropped now and then
_PERCENTILES = (10, 50, 90)


class WordCounts:
    """In how many examples of each label a word occurs, and how many words the examples of each label have.

    In a multi-label corpus each example counts for all of its labels, and for one more that all examples have.
    """

    def __init__(self, labels: Sequence[str], *, multi_label: bool = False) -> None:
        self._labels = labels
        self._all = len(labels) if multi_label else None
        self._counts = pl.DataFrame(schema={"word": pl.String, "label": pl.UInt16, "count": pl.UInt32})
        self._lengths = pl.DataFrame(schema={"label": pl.UInt16, "length": pl.UInt32, "count": pl.UInt32})

    def add(self, batch: pl.DataFrame) -> None:
        """Count the rows of a batch, which has columns `text` and `label`."""
        if self._all is not None:
            every = pl.lit(self._all, pl.UInt16)
            batch = batch.with_columns(pl.concat_list("label", every).alias("label")).explode("label")
        rows = batch.select("label", words("text").alias("word"))
        lengths = rows.select("label", pl.col("word").list.len().alias("length")).group_by("label", "length")
        once = (
            rows.with_columns(pl.col("word").list.unique())
            .explode("word", empty_as_null=False)
            .group_by("word", "label")
        )
        self._lengths = _added(self._lengths, lengths.agg(pl.len().alias("count")))
        self._counts = _added(self._counts, once.agg(pl.len().alias("count")))
        if self._counts.height > _MOST_WORDS:
            self._counts = self._counts.sort("count", "word", "label", descending=[True, False, False]).head(
                _MOST_WORDS // 2
            )

    def giveaways(self) -> list[dict[str, Any]]:
        """Return the significant words, for each label at most ten: those with the highest share of the label first.

        `share` is the part of the word's examples that have the label, `low` and `high` its 95 % interval, `expected`
        the label's part of all examples. Words are ordered by `low`.
        """
        rows = self._lengths.group_by("label").agg(pl.col("count").sum())
        together = pl.Expr.sum if self._all is None else pl.Expr.max  # over labels, of which one is all examples'
        share_of = dict(zip(rows["label"], rows["count"] / rows.select(together(pl.col("count"))).item(), strict=True))
        counted = self._counts.with_columns(total=together(pl.col("count")).over("word"))
        hits, totals = counted["count"].to_numpy().astype(np.int64), counted["total"].to_numpy().astype(np.int64)
        expected = counted["label"].replace_strict(share_of, return_dtype=pl.Float64).to_numpy()
        tests = counted["word"].n_unique() * max(len(share_of), 1)
        p_values = stats.binom.sf(hits - 1, totals, expected) * tests
        low, high = proportion_intervals(hits, totals)
        found = counted.with_columns(share=hits / totals, low=low, high=high, expected=expected, p=p_values).filter(
            pl.col("p") < _SIGNIFICANT, pl.col("expected") < 1, pl.col("label") < len(self._labels)
        )
        best = found.sort(-pl.col("low"), "word").group_by("label", maintain_order=True).head(_SHOWN)
        named = best.sort("label", -pl.col("low"), "word").with_columns(
            label=pl.col("label").map_elements(lambda number: self._labels[number], pl.String)
        )
        return named.select("word", "label", "count", "total", "share", "low", "high", "expected").to_dicts()

    def lengths(self) -> dict[str, dict[str, float]]:
        """Return mean and percentiles of the number of words, by label."""
        found = {}
        of_labels = self._lengths.filter(pl.col("label") < len(self._labels)).sort("label", "length")
        for (number,), rows in of_labels.group_by("label", maintain_order=True):
            lengths = np.repeat(rows["length"].to_numpy(), rows["count"].to_numpy())
            percentiles = np.percentile(lengths, _PERCENTILES, method="inverted_cdf")
            found[self._labels[int(str(number))]] = {
                "mean": float(lengths.mean()),
                **{f"p{share}": float(value) for share, value in zip(_PERCENTILES, percentiles, strict=True)},
            }
        return found


def _added(sums: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    by = [name for name in sums.columns if name != "count"]
    return (
        pl.concat([sums, more.select(pl.col(name).cast(sums.schema[name]) for name in sums.columns)])
        .group_by(by)
        .agg(pl.col("count").sum())
    )


def add_all(counts: WordCounts, batches: Iterable[pl.DataFrame]) -> None:
    """Count the rows of all batches."""
    for batch in batches:
        counts.add(batch)
