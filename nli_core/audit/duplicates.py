"""Examples that occur more than once: within a split, and in train and another split.

Exact ones have the same texts; normalised ones the same words in the same order. Memory holds three hashes an example.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from nli_core.audit.words import normalised
from nli_core.data.corpus.layout import Split

EXACT, NORMALISED, NEAR, NEW = "exact", "normalised", "near", "no"
"""How an example of dev or test occurs in train, the closest first."""


def example_hashes(batches: Iterable[pl.DataFrame], texts: Sequence[str]) -> pl.DataFrame:
    """Hash the texts of every row: columns `exact`, `normalised`, `premise` (its words alone), and `label`."""
    hashed = [
        batch.select(
            pl.struct(texts).hash().alias(EXACT),
            pl.struct(normalised(name).alias(name) for name in texts).hash().alias(NORMALISED),
            normalised("premise").hash().alias("premise"),
            "label",
        )
        for batch in batches
    ]
    return pl.concat(hashed)


def repeated(hashes: pl.DataFrame) -> dict[str, int]:
    """Count the rows of a split that an earlier row of it equals."""
    return {name: hashes.height - hashes[name].n_unique() for name in (EXACT, NORMALISED)}


def found_in(train: pl.DataFrame, later: pl.DataFrame) -> pl.Series:
    """Return how each row of a later split occurs in train, near duplicates aside."""
    return later.select(
        pl.when(pl.col(EXACT).is_in(train[EXACT].implode()))
        .then(pl.lit(EXACT))
        .when(pl.col(NORMALISED).is_in(train[NORMALISED].implode()))
        .then(pl.lit(NORMALISED))
        .otherwise(pl.lit(NEW))
    ).to_series()


def shared_premises(train: pl.DataFrame, later: pl.DataFrame) -> int:
    """Count the rows of a later split whose premise train has too."""
    return int(later["premise"].is_in(train["premise"].implode()).sum())


def contradicted(hashes: Mapping[Split, pl.DataFrame]) -> dict[Split, pl.Series]:
    """Select the rows of each split whose words occur with another label too, anywhere in the corpus."""
    everything = pl.concat([frame.select(NORMALISED, "label") for frame in hashes.values()])
    unsure = everything.group_by(NORMALISED).agg(pl.col("label").n_unique()).filter(pl.col("label") > 1)[NORMALISED]
    return {split: frame[NORMALISED].is_in(unsure.implode()) for split, frame in hashes.items()}


def samples(
    batches: Iterable[pl.DataFrame], chosen: pl.Series, texts: Sequence[str], most: int
) -> list[dict[str, Any]]:
    """Return the first chosen rows of a split: their id, texts and label's number."""
    found: list[dict[str, Any]] = []
    start = 0
    for batch in batches:
        rows = batch.filter(chosen[start : start + batch.height])
        found += rows.select("id", *texts, "label").head(most - len(found)).to_dicts()
        start += batch.height
        if len(found) >= most:
            break
    return found
