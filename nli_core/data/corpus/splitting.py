"""Splits that a corpus lacks, carved from its train split by class with a fixed seed."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl
import pyarrow as pa

from nli_core.arrays import Ints
from nli_core.data.arrow import to_numpy
from nli_core.data.corpus.cleaning import CleanTable
from nli_core.data.corpus.layout import Split
from nli_core.errors import UserError


def carve(
    train: CleanTable, fractions: Mapping[Split, float], seed: int, values: Sequence[str]
) -> dict[Split, CleanTable]:
    """Divide the train table: each split of `fractions` gets that part of every class, train keeps the rest.

    Which rows go where depends on the labels, the fractions and the seed alone, and not on the order of the labels:
    `values` are the labels as the files write them, by class number. Rows keep their order and their id. Of several
    labels of an example the rarest counts as its class; those without a label are a class of their own.

    Raises:
        UserError: a split would be left without a row.
    """
    if not fractions:
        return {"train": train}
    labels = _classes(train, values)
    splits: list[Split] = ["train", *fractions]
    split_of = np.zeros(len(labels), np.uint8)  # of each row's split in `splits`
    source = np.random.default_rng(seed)
    for label in [*sorted(range(len(values)), key=lambda number: values[number]), len(values)]:
        members = source.permutation(np.flatnonzero(labels == label))
        ends = np.cumsum([round(fraction * len(members)) for fraction in fractions.values()])
        for number, part in enumerate(np.split(members, ends)[:-1], start=1):  # the last part stays in train
            split_of[part] = number
    tables: dict[Split, CleanTable] = {}
    for number, count in enumerate(np.bincount(split_of, minlength=len(splits)).tolist()):
        if count == 0:
            split = splits[number]
            change = f"raise corpus.{split}_fraction" if number else "lower the fractions of the others"
            raise UserError(
                f"corpus: carving leaves no rows for {split} out of {len(labels)}; give a file for it, or {change}"
            )
        dropped = train.dropped if number == 0 else {}
        tables[splits[number]] = CleanTable(train.path.with_name(f"carved-{splits[number]}.arrow"), count, dropped)
    for number, table in enumerate(tables.values()):
        rows, start = train.batches(), 0
        with pa.OSFile(str(table.path), "wb") as file, pa.ipc.new_file(file, rows.schema) as writer:
            for batch in rows:
                chosen = split_of[start : start + batch.num_rows] == number
                writer.write_batch(batch.filter(pa.array(chosen)))
                start += batch.num_rows
    return tables


def _classes(train: CleanTable, values: Sequence[str]) -> Ints:
    """Return the class of each row [rows]: its label, the rarest of its labels, or the number of labels for none."""
    # Copied: an array of a batch would keep the whole batch, its text too.
    columns = [batch["label"] for batch in train.batches()]
    if not pa.types.is_list(columns[0].type):
        return np.concatenate([to_numpy(column).copy() for column in columns])
    labels = len(values)
    counts = np.sum([np.bincount(to_numpy(column.flatten()), minlength=labels) for column in columns], axis=0)
    by_rarity = np.array([*sorted(range(labels), key=lambda number: (counts[number], values[number])), labels])
    rank = pl.element().replace_strict(by_rarity, range(labels + 1))
    ranks = [pl.Series(column).list.eval(rank).list.min().fill_null(labels).to_numpy() for column in columns]
    classes: Ints = by_rarity[np.concatenate(ranks)]
    return classes


def shared_examples(tables: Mapping[Split, CleanTable]) -> dict[Split, int]:
    """Count the examples of a later split that an earlier one has too, whatever their labels."""
    splits = list(tables)
    later = {split: pl.concat(_text_hashes(tables[split])) for split in splits[1:]}
    shared = {split: np.zeros(len(hashes), bool) for split, hashes in later.items()}
    for number, split in enumerate(splits[:-1]):
        for hashes in _text_hashes(tables[split]):
            for other in splits[number + 1 :]:
                shared[other] |= later[other].is_in(hashes.implode()).to_numpy()
    return {split: int(found.sum()) for split, found in shared.items()}


def _text_hashes(table: CleanTable) -> Iterator[pl.Series]:
    """Yield a hash of the texts of every example, one record batch at a time."""
    batches = table.batches()
    texts = [name for name in ("premise", "hypothesis") if name in batches.schema.names]
    for batch in batches:
        yield pl.DataFrame(batch).select(pl.struct(texts).hash().alias("hash"))["hash"]
