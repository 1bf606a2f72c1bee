"""Every family of encoders: packing by its tokenizer, and training against `transformers.Trainer`.

All encoders have the same sizes, random weights, and tokenizers of their kind, learned from the same text. Every
measurement is a process of its own; only packing itself and optimiser steps are timed.
"""

import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import torch
from bounds import PRECISION
from one_epoch import train_one_epoch
from peers import trainer_epoch
from reporting import DATA, measure, table, write_page
from snli_text import snli_text

from nli_core.config import PackConfig
from nli_core.data.examples.shards import ShardSet
from nli_core.data.pack_shard import pack_shard
from nli_core.data.shard_job import ShardJob
from tests.fixtures.families import save_encoder
from tests.fixtures.tokenizers import TOKENIZERS

REPEATS, CORES = 3, 2
ROWS, EXAMPLES, BATCH = 100_000, 2_048, 64
LABELS = ("entailment", "contradiction", "neutral")
_SIZES = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
_POSITIONS = {"max_position_embeddings": 512}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**_SIZES, **_POSITIONS},
    "roberta": {**_SIZES, "max_position_embeddings": 514, "type_vocab_size": 1},
    "xlm-roberta": {**_SIZES, "max_position_embeddings": 514, "type_vocab_size": 1},
    "distilbert": {"dim": 256, "n_layers": 4, "n_heads": 4, "hidden_dim": 1024, **_POSITIONS},
    "electra": {**_SIZES, **_POSITIONS, "embedding_size": 128},
    "modernbert": {**_SIZES, "intermediate_size": 683, **_POSITIONS},
    "deberta-v2": {
        **_SIZES,
        **_POSITIONS,
        "type_vocab_size": 0,
        "relative_attention": True,
        "position_biased_input": False,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 256,
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
    },
}


def _job(folder: Path, encoder: Path, start: int, rows: int, out: Path) -> ShardJob:
    return ShardJob(
        split="train",
        table=folder / "text.arrow",
        start=start,
        rows=rows,
        target=out / f"train-{start:05d}.arrow",
        tokenizer=encoder,
        labels=LABELS,
        config=PackConfig(truncation="transformers"),
    )


def packing(folder: Path, encoder: Path) -> float:
    """Seconds of packing all rows, on threads."""
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(CORES) as pool:
        out = Path(name)
        jobs = [_job(folder, encoder, start, ROWS // 4, out) for start in range(0, ROWS, ROWS // 4)]
        pack_shard(replace(jobs[0], rows=1))  # loads the compiled loops
        started = time.perf_counter()
        list(pool.map(pack_shard, jobs))
        return time.perf_counter() - started


def ours(folder: Path, encoder: Path) -> float:
    """Seconds of an epoch of the stage's own loop."""
    return float(train_one_epoch(folder / f"shards-{encoder.name}", encoder, BATCH)["training_seconds"])


def trainer(folder: Path, encoder: Path) -> float:
    """Seconds of an epoch of the trainer: dynamic padding, grouped by length."""
    import transformers

    examples = ShardSet(folder / f"shards-{encoder.name}", "train")
    ends = examples.examples.lengths.cumsum()
    rows = [
        {"input_ids": ids.tolist(), "labels": int(label), "length": len(ids)}
        for ids, label in zip(
            torch.from_numpy(examples.examples.input_ids.astype("int64")).tensor_split(torch.from_numpy(ends[:-1])),
            examples.targets,
            strict=True,
        )
    ]
    padding = {"pad_token": "<pad>" if "roberta" in encoder.name else "[PAD]"}
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=str(encoder / "tokenizer.json"), **padding)
    return trainer_epoch(encoder, tokenizer, rows, BATCH)


WAYS = {"packing": packing, "ours": ours, "trainer": trainer}


def prepare(folder: Path) -> None:
    """Text, and for each family an encoder and shards to train on."""
    text = snli_text(DATA / "snli_1.0_subset.zip", ROWS)
    text.write_ipc(folder / "text.arrow", compat_level=pl.CompatLevel.oldest())  # as cleaning writes it
    texts = pl.concat([text["premise"], text["hypothesis"]]).head(20_000).to_list()
    for family, sizes in ENCODERS.items():
        encoder, shards = folder / family, folder / f"shards-{family}"
        save_encoder(family, sizes, TOKENIZERS[family](texts, 16_000), encoder)
        shards.mkdir()
        pack_shard(_job(folder, encoder, 0, EXAMPLES, shards))
        dev = _job(folder, encoder, EXAMPLES, 256, shards)
        pack_shard(replace(dev, split="dev", target=shards / "dev-00000.arrow"))


def main() -> None:
    told: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for _ in range(REPEATS):
            for family in ENCODERS:
                for way in WAYS:
                    words = (way, folder, folder / family)
                    options = {"OMP_NUM_THREADS": CORES, "POLARS_MAX_THREADS": CORES, "RAYON_NUM_THREADS": CORES}
                    seconds = measure(__file__, *words, **options)["seconds"]
                    told.setdefault((family, way), []).append(seconds)
                    print(family, way, f"{seconds:.2f} s", file=sys.stderr)
    rows = []
    for family in ENCODERS:
        packed, mine, theirs = (statistics.median(told[family, way]) for way in WAYS)
        rows.append(
            (
                family,
                f"{ROWS / packed:,.0f}",
                f"{EXAMPLES / mine:,.0f}",
                f"{EXAMPLES / theirs:,.0f}",
                f"{theirs / mine:.2f}",
                f"{min(told[family, 'trainer']) / max(told[family, 'ours']):.2f}"
                f" to {max(told[family, 'trainer']) / min(told[family, 'ours']):.2f}",
            )
        )
    header = ("family", "packing, rows/s", "training, examples/s", "`transformers.Trainer`", "ratio", "its range")
    write_page(
        "encoders",
        "Families of encoders",
        f"Random weights, 4 layers of 256, a vocabulary of at most 16,000, SNLI-like pairs; {CORES} threads; batches "
        f"of {BATCH}; medians of {REPEATS} alternating runs. The trainer: {PRECISION}, dynamic padding, grouped by "
        "length, fused AdamW. Ours: its defaults. A `deberta-v2` is computed by transformers in both columns. "
        "WordPiece has a compiled path (`bert`, `distilbert`, `electra`); the others are packed by the package "
        "tokenizers.",
        table(header, rows),
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, folder, encoder = sys.argv[1:]
        print(json.dumps({"seconds": WAYS[way](Path(folder), Path(encoder))}))
    else:
        main()
