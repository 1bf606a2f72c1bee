"""Examples that occur more than once: within a split, and in train and another split.

Exact ones have the same texts; normalised ones the same words in the same order. Memory holds three hashes an example,
and tables of a part of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from nli_core.audit.words import normalised
from nli_core.data.corpus.layout import Split

_PART_ROWS = 1 << 19
EXACT, NORMALISED, NEAR, NEW = "exact", "normalised", "near", "no"
"""How an example of dev or test occurs in train, the closest first."""


def example_hashes(batches: Iterable[pl.DataFrame], texts: Sequence[str]) -> pl.DataFrame:
    """Hash the texts of every row: columns `exact`, `normalised`, `premise` (its words alone), and `label`."""
    hashed = [
        batch.select(
            pl.struct(texts).hash().alias(EXACT),
            pl.struct(normalised(name).alias(name) for name in texts).hash().alias(NORMALISED),
            normalised("premise").hash().alias("premise"),
            _label_numbers(batch["label"]),
        )
        for batch in batches
    ]
    return pl.concat(hashed)


def _label_numbers(labels: pl.Series) -> pl.Series:
    """Return a number for each label or list of labels, the same for the same ones."""
    if isinstance(labels.dtype, pl.List):
        return labels.cast(pl.List(pl.String)).list.join(" ").hash().alias("label")
    return pl.Series("label", labels.to_numpy().copy())  # a view would keep the batch's text in memory


def repeated(hashes: pl.DataFrame) -> dict[str, int]:
    """Count the rows of a split that an earlier row of it equals."""
    distinct = {name: sum(part[name].n_unique() for part in _parts(hashes, name)) for name in (EXACT, NORMALISED)}
    return {name: hashes.height - count for name, count in distinct.items()}


def found_in(train: pl.DataFrame, later: pl.DataFrame) -> pl.Series:
    """Return how each row of a later split occurs in train, near duplicates aside."""
    exact, normal = (_is_in(later, train, name) for name in (EXACT, NORMALISED))
    closest = pl.when(exact).then(pl.lit(EXACT)).when(normal).then(pl.lit(NORMALISED)).otherwise(pl.lit(NEW))
    return later.select(closest).to_series()


def shared_premises(train: pl.DataFrame, later: pl.DataFrame) -> int:
    """Count the rows of a later split whose premise train has too."""
    return int(_is_in(later, train, "premise").sum())


def contradicted(hashes: Mapping[Split, pl.DataFrame]) -> dict[Split, pl.Series]:
    """Select the rows of each split whose words occur with another label too, anywhere in the corpus."""
    everything = pl.concat([frame.select(NORMALISED, "label") for frame in hashes.values()])
    unsure = pl.concat(
        [
            part.unique().group_by(NORMALISED).len().filter(pl.col("len") > 1).select(NORMALISED)
            for part in _parts(everything, NORMALISED)
        ]
    )
    return {split: frame[NORMALISED].is_in(unsure[NORMALISED].implode()) for split, frame in hashes.items()}


def _is_in(rows: pl.DataFrame, others: pl.DataFrame, name: str) -> pl.Series:
    """Return for each row whether the others have its hash."""
    known = pl.concat(
        [
            part.select(name).unique().join(mine.select(name).unique(), on=name)
            for part, mine in zip(_parts(others, name), _parts(rows, name, like=others), strict=True)
        ]
    )
    return rows[name].is_in(known[name].implode())


def _parts(frame: pl.DataFrame, name: str, *, like: pl.DataFrame | None = None) -> Iterable[pl.DataFrame]:
    """Divide the rows by their hashes, so that tables of these take memory for a part at a time.

    With `like`, there are as many parts as that frame has.
    """
    count = 1 + (frame if like is None else like).height // _PART_ROWS
    return (frame.filter(pl.col(name) % count == number) for number in range(count))


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
