"""What a model predicts for dev or test, with all that is known of each example."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import polars.selectors as cs

from nli_core.arrays import Bools, Floats
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.shards import ShardSet
from nli_core.data.examples.targets import Targets
from nli_core.evaluation.columns import PREDICTED, PROBABILITY, TEXTS, TRUE
from nli_core.evaluation.outcomes import Outcomes
from nli_core.evaluation.slices import AUDITED_COLUMNS, overlap, text_lengths
from nli_core.filenames import audit_name, text_name
from nli_core.model.answers import Answers


@dataclass(frozen=True)
class SplitPredictions:
    """The logits [examples, labels] and targets of a split, how they are read, and a table with a row for each.

    Its columns are id, the texts, label, predicted, tokens, overlap (of pairs), what audit says, and the probabilities.
    """

    split: Split
    answers: Answers
    logits: Floats
    targets: Targets
    table: pl.DataFrame

    @cached_property
    def outcomes(self) -> Outcomes:
        """What the model claims, before calibration, and what is true."""
        return self.calibrated(1.0)

    def calibrated(self, temperature: float) -> Outcomes:
        """Return the outcomes of the same answers at this temperature."""
        answers = self.answers.calibrated(temperature)
        return Outcomes.of(answers, answers.probabilities(self.logits), self.targets)

    def divided(self, fraction: float) -> tuple["SplitPredictions", "SplitPredictions"]:
        """Set a part of the examples aside, chosen from a fixed seed; returns the rest and that part.

        One example at least stays.
        """
        count = len(self.targets)
        aside = np.zeros(count, bool)
        aside[np.random.default_rng(0).permutation(count)[: min(round(fraction * count), count - 1)]] = True
        return self._rows(~aside), self._rows(aside)

    def _rows(self, chosen: Bools) -> "SplitPredictions":
        table = self.table.filter(pl.Series(chosen))
        return SplitPredictions(self.split, self.answers, self.logits[chosen], self.targets[chosen], table)


def split_predictions(
    answers: Answers, logits: Floats, shards: ShardSet, packed: Path, audit: Path
) -> SplitPredictions:
    """Read logits [examples, labels] of a split; `packed` and `audit` have its text and what audit says of it."""
    texts = pl.read_ipc(packed / text_name(shards.split)).select("id", cs.by_name(TEXTS, require_all=False))
    known = texts.join(pl.read_parquet(audit / audit_name(shards.split)), on="id", how="left", validate="1:1")
    probabilities, targets = answers.probabilities(logits), shards.targets
    chosen = answers.chosen(probabilities)
    truths = targets if targets.ndim == 2 else np.arange(len(shards.labels)) == targets[:, None]
    columns = {
        "id": shards.ids,
        **{name: known[name] for name in TEXTS if name in known.columns},
        "label": answers.texts(truths),
        "predicted": answers.texts(chosen),
        "tokens": text_lengths(shards.examples),
        **({"overlap": overlap(shards.examples)} if shards.examples.pairs else {}),
        **{name: known[name] for name in AUDITED_COLUMNS},
        **{f"{PROBABILITY}{label}": probabilities[:, index] for index, label in enumerate(shards.labels)},
    }
    if targets.ndim == 2:
        for prefix, which in ((TRUE, truths), (PREDICTED, chosen)):
            columns |= {f"{prefix}{label}": which[:, index] for index, label in enumerate(shards.labels)}
    return SplitPredictions(shards.split, answers, logits, targets, pl.DataFrame(columns))
