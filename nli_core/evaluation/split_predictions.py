"""What a model predicts for dev or test, with all that is known of each example."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs

from nli_core.arrays import Bools, Floats, Ints
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.shards import ShardSet
from nli_core.evaluation.calibration import softmax
from nli_core.evaluation.comparison import PROBABILITY, TEXTS
from nli_core.evaluation.slices import AUDITED_COLUMNS, overlap, text_lengths
from nli_core.filenames import audit_name, text_name
from nli_core.inference.logits import Report
from nli_core.inference.replicas import Replicas


@dataclass(frozen=True)
class SplitPredictions:
    """The logits [examples, labels] and true label ids [examples] of a split, and a table with a row for each.

    Its columns are id, the texts, label, predicted, tokens, overlap (of pairs), what audit says, and the probabilities.
    """

    split: Split
    labels: tuple[str, ...]
    logits: Floats
    label_ids: Ints
    table: pl.DataFrame

    def probabilities(self, temperature: float = 1.0) -> Floats:
        """Compute probabilities [examples, labels] from the logits, divided by a temperature."""
        return softmax(self.logits / temperature)

    def divided(self, fraction: float) -> tuple["SplitPredictions", "SplitPredictions"]:
        """Set a part of the examples aside, chosen from a fixed seed; returns the rest and that part.

        One example at least stays.
        """
        count = len(self.label_ids)
        aside = np.zeros(count, bool)
        aside[np.random.default_rng(0).permutation(count)[: min(round(fraction * count), count - 1)]] = True
        return self._rows(~aside), self._rows(aside)

    def _rows(self, chosen: Bools) -> "SplitPredictions":
        table = self.table.filter(pl.Series(chosen))
        return SplitPredictions(self.split, self.labels, self.logits[chosen], self.label_ids[chosen], table)


def predict_split(model: Replicas, shards: ShardSet, packed: Path, audit: Path, report: Report) -> SplitPredictions:
    """Predict a split; `packed` and `audit` are the folders with its text and with what audit says of it."""
    texts = pl.read_ipc(packed / text_name(shards.split)).select("id", cs.by_name(TEXTS, require_all=False))
    known = texts.join(pl.read_parquet(audit / audit_name(shards.split)), on="id", how="left", validate="1:1")
    logits: Floats = model.logits(shards.examples, report).double().numpy()
    probabilities, names = softmax(logits), np.array(shards.labels)
    columns = {
        "id": shards.ids,
        **{name: known[name] for name in TEXTS if name in known.columns},
        "label": names[shards.label_ids],
        "predicted": names[probabilities.argmax(axis=1)],
        "tokens": text_lengths(shards.examples),
        **({"overlap": overlap(shards.examples)} if shards.examples.pairs else {}),
        **{name: known[name] for name in AUDITED_COLUMNS},
        **{f"{PROBABILITY}{label}": probabilities[:, index] for index, label in enumerate(shards.labels)},
    }
    return SplitPredictions(shards.split, shards.labels, logits, shards.label_ids, pl.DataFrame(columns))
