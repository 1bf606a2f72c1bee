"""SNLI-like text in any amount: real premises and hypotheses in fresh combinations, over a realistic vocabulary.

SNLI's train split has about 35,000 distinct words, the splits at hand far fewer; so a part of the words is exchanged
for made-up ones, the rarer the more of them there are (a Zipf distribution).
"""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import polars as pl

from nli_core.data.corpus.layout import SPLITS, CorpusLayout, TableFormat

_MADE_UP_WORDS = 40_000
_EXCHANGED = 0.02
_SYLLABLES = (
    "ba",
    "cor",
    "den",
    "fil",
    "gra",
    "hol",
    "in",
    "jat",
    "ker",
    "lum",
    "mon",
    "nes",
    "or",
    "pri",
    "quo",
    "ster",
)


def snli_text(archive: Path, rows: int, *, seed: int = 0) -> pl.DataFrame:
    """`rows` rows with id, label, premise and hypothesis, as pack's clean tables have them."""
    with zipfile.ZipFile(archive) as opened:
        texts: dict[str, list[str]] = {"sentence1": [], "sentence2": []}
        for split in ("dev", "test"):
            body = opened.read(f"snli_1.0/snli_1.0_{split}.txt").decode()
            for row in csv.DictReader(io.StringIO(body), delimiter="\t", quoting=csv.QUOTE_NONE):
                for name, column in texts.items():
                    column.append(row[name])
    random = np.random.default_rng(seed)
    made_up = ["".join(random.choice(_SYLLABLES, random.integers(2, 5))) for _ in range(_MADE_UP_WORDS)]
    columns = {}
    for name, target in (("sentence1", "premise"), ("sentence2", "hypothesis")):
        words = pl.Series(texts[name]).gather(random.integers(0, len(texts[name]), rows)).str.split(" ")
        flat = words.explode().to_numpy().copy()
        exchanged = np.flatnonzero(random.random(len(flat)) < _EXCHANGED)
        flat[exchanged] = np.array(made_up, object)[random.zipf(1.2, len(exchanged)) % _MADE_UP_WORDS]
        lengths = words.list.len().to_numpy()
        row_of = np.repeat(np.arange(rows), lengths)
        joined = pl.DataFrame({"row": row_of, "word": pl.Series(flat, dtype=pl.String)}).group_by(
            "row", maintain_order=True
        )
        columns[target] = joined.agg(pl.col("word").str.join(" "))["word"]
    labels = pl.Series(random.integers(0, 3, rows), dtype=pl.UInt16)
    return pl.DataFrame({"id": pl.Series(np.arange(rows), dtype=pl.UInt32), "label": labels, **columns})


def write_corpus(archive: Path, folder: Path, rows: int, held_out_rows: int) -> None:
    """Leave the splits of a corpus in a new folder as Parquet files: `rows` of train, `held_out_rows` of each other."""
    folder.mkdir()
    text, start = snli_text(archive, rows + 2 * held_out_rows).drop("id"), 0
    for split, wanted in zip(SPLITS, (rows, held_out_rows, held_out_rows), strict=True):
        text.slice(start, wanted).write_parquet(folder / f"{split}.parquet")
        start += wanted


def pairs_layout(kind: TableFormat) -> CorpusLayout:
    """How a corpus of this text is read whose splits are files of this kind, without the column `id`."""
    return CorpusLayout(
        format=kind,
        files={split: f"{split}.{kind}" for split in SPLITS},
        premise=("premise",),
        hypothesis="hypothesis",
        label="label",
        labels=("entailment", "contradiction", "neutral"),
        label_values=("0", "1", "2"),
    )
