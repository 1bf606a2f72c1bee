"""The audit stage: what a corpus' text alone says about any model's accuracy on it.

It leaves `audit.json`, and for dev and test a Parquet file with a row for each example:

    id         its row in the file that the split came from, as in predictions
    baseline   the label that the baseline gives it: an example is hard where that is wrong
    in_train   whether train has it: exact, normalised, near, or no
    agreement  the part of the annotators who chose the label; null where the release does not say
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import polars as pl

from nli_core.audit.agreement import agreement
from nli_core.audit.baseline import WordBaseline
from nli_core.audit.duplicates import (
    NEAR,
    NEW,
    contradicted,
    example_hashes,
    found_in,
    repeated,
    samples,
    shared_premises,
)
from nli_core.audit.giveaways import WordCounts, add_all
from nli_core.audit.near_duplicates import NearDuplicates
from nli_core.callbacks import Progress, no_progress
from nli_core.data.corpus.cleaning import CleanTable, table_of
from nli_core.data.corpus.layout import SPLITS, CorpusLayout, Split
from nli_core.data.corpus.tables import split_tables
from nli_core.data.examples.targets import write_targets
from nli_core.filenames import AUDIT, audit_name

MAJORITY = "majority"
HYPOTHESIS_ONLY, BAG_OF_WORDS = "hypothesis_only", "bag_of_words"
"""What the baseline is called: for pairs, and for single texts."""
_SCRATCH = "scratch"
_LATER: tuple[Split, ...] = ("dev", "test")
_MOST_LOOKED_FOR = 50_000  # rows of a split whose near duplicates are looked for
_TRAIN_SAMPLE = 10_000
_SHOWN = 5
_STEPS = 6


def audit(
    corpus: Path,
    layout: CorpusLayout,
    annotators: Sequence[str],
    *,
    empty_text: Literal["error", "drop"],
    out: Path,
    progress: Progress = no_progress,
    names: Mapping[Split, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Leave baselines, give-away words and duplicates of a corpus in `out`; returns the facts.

    `annotators` are the columns with the label that each annotator chose. `names` is what errors call the files.

    Raises:
        UserError: a fault in the data, with file, line and value.
    """
    shutil.rmtree(out)
    (out / _SCRATCH).mkdir(parents=True)

    def report(done: int, note: str) -> None:
        progress(done, _STEPS, note)

    report(0, "text")
    tables, labels = split_tables(layout, corpus, out / _SCRATCH, empty_text=empty_text, names=names)
    texts = ("premise", "hypothesis") if layout.hypothesis is not None else ("premise",)
    read = texts[-1]  # what the baseline reads
    report(1, "baseline")
    baseline = WordBaseline(lambda: _read(tables["train"], read), len(labels), multi_label=layout.multi_label)
    report(2, "give-away words")
    counts = WordCounts(labels, multi_label=layout.multi_label)
    add_all(counts, _read(tables["train"], read))
    report(3, "duplicates")
    hashes = {split: example_hashes(_rows(table, texts), texts) for split, table in tables.items()}
    in_train = {split: found_in(hashes["train"], hashes[split]) for split in _LATER}
    unsure = contradicted(hashes)
    report(4, "near duplicates")
    near = _near_duplicates(tables, texts, in_train)
    report(5, "predictions of the baseline")
    name = partial(_name, labels, layout.separator)
    for split in _LATER:
        table = tables[split]
        source = table_of(layout, corpus, split if split in layout.files else "train", names)
        guesses = write_targets(np.concatenate([*baseline.predict(_read(table, read))]), len(labels)).to_pylist()
        ids = np.concatenate([batch["id"].to_numpy().astype(np.int64) for batch in table.batches()])
        pl.DataFrame(
            {
                "id": ids,
                "baseline": [name(guess) for guess in guesses],
                "in_train": in_train[split],
                "agreement": agreement(source, layout, annotators, table),
            }
        ).write_parquet(out / audit_name(split))
    facts: dict[str, Any] = {
        "labels": list(labels),
        "reads": read if len(texts) == 2 else "text",
        "baseline": HYPOTHESIS_ONLY if len(texts) == 2 else BAG_OF_WORDS,
        "baseline_rows": baseline.rows,
        MAJORITY: name(_most_frequent(_rows(tables["train"], texts))),
        "giveaways": counts.giveaways(),
        "lengths": counts.lengths(),
        "duplicates": {
            split: {"rows": tables[split].rows, **repeated(hashes[split]), "two_labels": int(unsure[split].sum())}
            for split in SPLITS
        },
        "in_train": {split: _counted(in_train[split]) for split in _LATER},
        "near": near,
        "samples": {
            "in_train": {
                split: _named(samples(_rows(tables[split], texts), in_train[split] != NEW, texts, _SHOWN), name)
                for split in _LATER
            },
            "two_labels": {
                split: _named(samples(_rows(tables[split], texts), unsure[split], texts, _SHOWN), name)
                for split in SPLITS
            },
        },
    }
    if len(texts) == 2:
        facts["premises_in_train"] = {split: shared_premises(hashes["train"], hashes[split]) for split in _LATER}
    shutil.rmtree(out / _SCRATCH)
    (out / AUDIT).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    report(_STEPS, "done")
    return facts


def _read(table: CleanTable, text: str) -> Iterable[pl.DataFrame]:
    """Read the label and one text, as `text`, batch by batch."""
    return (batch.select("label", text=text) for batch in _rows(table, (text,)))


def _rows(table: CleanTable, texts: Sequence[str]) -> Iterable[pl.DataFrame]:
    """Read ids, labels and texts, batch by batch; of some batches no row is left, and these are passed over."""
    return (pl.DataFrame(batch.select(["id", "label", *texts])) for batch in table.batches() if batch.num_rows)


def _near_duplicates(
    tables: Mapping[Split, CleanTable], texts: Sequence[str], in_train: dict[Split, pl.Series]
) -> dict[str, Any]:
    """Look for near duplicates in train, and mark them in `in_train`; returns how many there are.

    Of train itself a sample is looked for.
    """
    places: list[tuple[Split, pl.Series]] = []
    wanted = []
    for split, table in tables.items():
        most = _TRAIN_SAMPLE if split == "train" else _MOST_LOOKED_FOR
        chosen = _chosen_rows(table.rows, most)
        places.append((split, chosen))
        wanted.append(_take(table, texts, chosen))
    search = NearDuplicates(pl.concat(wanted), texts)
    for batch in _rows(tables["train"], texts):
        search.look(batch)
    facts: dict[str, Any] = {"complete": search.complete, "looked_for": {}, "found": {}}
    start = 0
    for split, chosen in places:
        found = pl.Series(search.found[start : start + len(chosen)])
        start += len(chosen)
        facts["looked_for"][split], facts["found"][split] = len(chosen), int(found.sum())
        if split != "train":
            marked = (
                in_train[split]
                .to_frame("in_train")
                .with_row_index("row")
                .with_columns(near=pl.col("row").is_in(chosen.filter(found).implode()))
            )
            in_train[split] = marked.select(
                pl.when((pl.col("in_train") == NEW) & pl.col("near")).then(pl.lit(NEAR)).otherwise("in_train")
            ).to_series()
    return facts


def _chosen_rows(rows: int, most: int) -> pl.Series:
    """Return the numbers of all rows, or of `most` of them, chosen from a fixed seed."""
    if rows <= most:
        return pl.int_range(rows, eager=True, dtype=pl.UInt32)
    return pl.Series(np.sort(np.random.default_rng(0).choice(rows, most, replace=False)), dtype=pl.UInt32)


def _take(table: CleanTable, texts: Sequence[str], chosen: pl.Series) -> pl.DataFrame:
    found: dict[str, list[str]] = {name: [] for name in texts}
    start = 0
    for batch in _rows(table, texts):
        rows = batch.with_row_index("row", offset=start).filter(pl.col("row").is_in(chosen.implode()))
        for name, column in found.items():  # as a list: a column would share the whole batch's text, and keep it
            column += rows[name].to_list()
        start += batch.height
    return pl.DataFrame(found, schema=dict.fromkeys(texts, pl.String))


def _counted(values: pl.Series) -> dict[str, int]:
    return dict(sorted(values.value_counts().iter_rows()))


def _most_frequent(batches: Iterable[pl.DataFrame]) -> Any:
    """Return the label that most rows have, or the list of labels; on a tie the first."""
    counts: Counter[Any] = Counter()
    for batch in batches:
        counts.update(tuple(label) if isinstance(label, list) else label for label in batch["label"].to_list())
    return min(counts, key=lambda label: (-counts[label], label))


def _named(rows: list[dict[str, Any]], name: Callable[[Any], str]) -> list[dict[str, Any]]:
    return [{**row, "label": name(row["label"])} for row in rows]


def _name(labels: Sequence[str], separator: str | None, number: Any) -> str:
    """Write the label with this number; in a multi-label corpus those of a list of numbers, as answers have them."""
    return labels[number] if separator is None else separator.join(sorted(labels[each] for each in number))
