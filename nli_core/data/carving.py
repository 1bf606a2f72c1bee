"""Splits that a corpus lacks, carved from its train split by class with a fixed seed."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from nli_core.data.layout import Split
from nli_core.data.tables import CleanTable
from nli_core.errors import UserError


def carve(train: CleanTable, fractions: Mapping[Split, float], seed: int) -> dict[Split, CleanTable]:
    """Divide the train table: each split of `fractions` gets that part of every class, train keeps the rest.

    Which rows go where depends on the labels, the fractions and the seed alone; rows keep their order and their id.

    Raises:
        UserError: a split would be left without a row.
    """
    if not fractions:
        return {"train": train}
    frame = pl.scan_ipc(train.path)
    rows = frame.select("id", "label").collect()
    labels = rows["label"].to_numpy()
    chosen: dict[Split, list[np.ndarray]] = {split: [] for split in fractions}
    source = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = source.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum([round(fraction * len(members)) for fraction in fractions.values()])
        for split, part in zip(fractions, np.split(members, ends), strict=False):  # the last part stays in train
            chosen[split].append(part)
    ids = {split: rows[np.sort(np.concatenate(parts))].select("id") for split, parts in chosen.items()}
    kept = len(labels) - sum(carved.height for carved in ids.values())
    for split, count in [*((split, carved.height) for split, carved in ids.items()), ("train", kept)]:
        if count == 0:
            raise UserError(f"corpus: carving leaves no rows for {split} out of {len(labels)}; give a file for it")
    tables: dict[Split, CleanTable] = {"train": CleanTable(_beside(train, "train"), kept, train.dropped)}
    # Train is what the others leave: the table that a join keeps in memory is its right, here the smaller one.
    left = frame.join(pl.concat(ids.values()).lazy(), on="id", how="anti", maintain_order="left")
    left.sink_ipc(tables["train"].path, maintain_order=True)
    for split, carved in ids.items():
        tables[split] = CleanTable(_beside(train, split), carved.height, {})
        found = frame.join(carved.lazy(), on="id", how="semi", maintain_order="left")
        found.sink_ipc(tables[split].path, maintain_order=True)
    return tables


def _beside(train: CleanTable, split: Split) -> Path:
    return train.path.with_name(f"carved-{split}.arrow")


def shared_examples(tables: Mapping[Split, CleanTable]) -> dict[str, int]:
    """How many examples of a later split also stand in an earlier one (the same texts, whatever the label)."""
    shared: dict[str, int] = {}
    earlier: list[pl.LazyFrame] = []
    for split, table in tables.items():
        hashes = _text_hashes(table.path)
        if earlier:
            # The table that a join keeps in memory is its right one: here the later split, not all of train.
            both = pl.concat(earlier).join(hashes, on="hash", how="semi").unique()
            count = hashes.join(both, on="hash", how="semi").select(pl.len()).collect(engine="streaming")
            shared[split] = int(count.item())
        earlier.append(hashes)
    return shared


def _text_hashes(path: Path) -> pl.LazyFrame:
    frame = pl.scan_ipc(path)
    texts = [name for name in ("premise", "hypothesis") if name in frame.collect_schema().names()]
    return frame.select(pl.struct(texts).hash().alias("hash"))
