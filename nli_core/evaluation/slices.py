"""Parts of a test set that are worth a look of their own: by class, by length, by how much the two texts share.

Predictions carry what is needed for that: `tokens`, for pairs `overlap`, and what audit says of each example. A high
overlap makes careless models say entailment (McCoy et al., 2019, HANS).
"""

import itertools
from typing import Any

import numpy as np
import polars as pl

from nli_core.arrays import Bools, Floats, IntArray
from nli_core.audit.duplicates import NEW
from nli_core.config.requirements import Slice
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.evaluation.columns import rows_by_label

_LENGTHS = (16, 32, 64, 128)
_OVERLAPS = (1 / 3, 2 / 3)
AUDITED_COLUMNS = ("baseline", "in_train", "agreement")
AUDITED: dict[Slice, pl.Expr] = {
    "hard": pl.col("baseline") != pl.col("label"),
    "easy": pl.col("baseline") == pl.col("label"),
    "in_train": pl.col("in_train") != NEW,
    "not_in_train": pl.col("in_train") == NEW,
    "agreed": pl.col("agreement") == 1,
    "disagreed": pl.col("agreement") < 1,
}
"""The parts that audit knows: whether its baseline is wrong, train has the example, all annotators chose the label."""


def text_lengths(examples: RaggedExamples) -> IntArray:
    """Count the tokens of each example [examples], in all its windows, without padding that packing filled in."""
    owners = np.repeat(examples.of_rows(), examples.lengths)
    lengths: IntArray = np.bincount(owners[examples.input_ids != examples.pad_id], minlength=examples.count)
    return lengths


def overlap(examples: RaggedExamples) -> Floats:
    """Compute the share of the hypothesis' tokens that the premise has too [examples], without special tokens."""
    rows = np.repeat(np.arange(len(examples)), examples.lengths)
    positions = np.arange(len(rows)) - np.repeat(np.cumsum(examples.lengths) - examples.lengths, examples.lengths)
    second = positions >= examples.boundaries[rows]
    filled = np.bincount(rows[examples.input_ids == examples.pad_id], minlength=len(examples))
    # The last token of the text is [SEP].
    inside = second & (positions < (examples.lengths - filled)[rows] - 1)
    # One number per token and example, so that one lookup serves all examples.
    owners = examples.of_rows()[rows]
    tokens = owners * (int(examples.input_ids.max(initial=0)) + 1) + examples.input_ids
    shared = np.isin(tokens[inside], tokens[~second])
    totals = np.bincount(owners[inside], minlength=examples.count)
    found: Floats = np.bincount(owners[inside], weights=shared, minlength=examples.count) / np.maximum(totals, 1)
    return found


def slices(predictions: pl.DataFrame) -> dict[str, Bools]:
    """Select the rows of each part [rows], by the part's name; leave out parts without a row."""
    found = {f"label {label}": rows for label, rows in rows_by_label(predictions).items()}
    if "tokens" in predictions.columns:
        found |= _bands(predictions["tokens"].to_numpy(), _LENGTHS, "{low:.0f} to {high:.0f} tokens", whole=True)
    if "overlap" in predictions.columns:
        found |= _bands(predictions["overlap"].to_numpy(), _OVERLAPS, "overlap {low:.2f} to {high:.2f}", whole=False)
    return {name: rows for name, rows in (found | audited(predictions)).items() if rows.any()}


def audited(predictions: pl.DataFrame) -> dict[str, Bools]:
    """Select the rows of each part that audit knows, if it has rows and not all; earlier versions had no such parts."""
    if not set(AUDITED_COLUMNS) <= set(predictions.columns):
        return {}
    found = {name: _rows(predictions.select(chosen.fill_null(False)).to_series()) for name, chosen in AUDITED.items()}
    return {name: rows for name, rows in found.items() if rows.any() and not rows.all()}


def _rows(chosen: Any) -> Bools:
    rows: Bools = chosen.to_numpy()
    return rows


def _bands(values: "np.ndarray[Any, Any]", ends: tuple[float, ...], name: str, *, whole: bool) -> dict[str, Bools]:
    """Select rows by the band of their value: above the band's lower end, and not above its upper one."""
    highest = float(max(values.max(initial=0), 1))
    edges = [0.0, *(end for end in ends if end < highest), highest]
    bands: dict[str, Bools] = {}
    for low, high in itertools.pairwise(edges):
        rows = (values > low) & (values <= high) if low else values <= high
        bands[name.format(low=low + 1 if whole else low, high=high)] = rows
    return bands
