"""Packing pairs of texts, against the book's dataset class and `datasets.map`: rows a second, memory, bytes on disk.

Every measurement is a process of its own. All begin with clean text at hand and end with tokenized examples: ours as
shards on the disk, the peers' as tensors or ids in memory (the book, the fast tokenizer) or an Arrow cache on the disk
(datasets).
"""

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from reporting import DATA, measure, ratio, spread, table, write_page
from snli_text import snli_text, write_corpus

from nli_core.config import PackConfig
from nli_core.data.pack_shard import pack_shard
from nli_core.data.shard_job import ShardJob

ROWS, HELD_OUT_ROWS = 550_152, 10_000  # as SNLI has
PEER_ROWS = 50_000  # the book's way keeps tens of KiB a row in memory, datasets takes its time
REPEATS = 5
CORES = 2
LABELS = ("entailment", "contradiction", "neutral")
MAX_LENGTH = 128
ARCHIVE = DATA / "snli_1.0_subset.zip"
TOKENIZER = DATA / "bert-base-uncased"


def ours(text: Path, rows: int, cores: int) -> float:
    """What the pack stage does with clean text: tokenize, truncate, write shards; on threads."""
    config = PackConfig(max_length=MAX_LENGTH)
    with tempfile.TemporaryDirectory() as out, ThreadPoolExecutor(cores) as pool:
        jobs = [
            ShardJob(
                split="train",
                table=text,
                start=start,
                rows=min(config.rows_per_shard, rows - start),
                target=Path(out) / f"train-{start}.arrow",
                tokenizer=TOKENIZER,
                labels=LABELS,
                config=config,
            )
            for start in range(0, rows, config.rows_per_shard)
        ]
        # The peers' packages are imported before the clock starts; so are the compiled loops, which one row loads.
        pack_shard(replace(jobs[0], rows=1, target=Path(out) / "first.arrow"))
        (Path(out) / "first.arrow").unlink()
        started = time.perf_counter()
        list(pool.map(pack_shard, jobs))
        seconds = time.perf_counter() - started
        print(json.dumps({"bytes_a_row": sum(path.stat().st_size for path in Path(out).iterdir()) / rows}))
        return seconds


def book(text: Path, rows: int, cores: int) -> float:
    """The book's dataset class, with the book's four processes."""
    from book import BookDataset, import_d2l

    frame = pl.read_ipc(text, n_rows=rows)
    words = pl.concat([frame["premise"], frame["hypothesis"]]).str.to_lowercase().str.split(" ").explode().unique()
    vocab = import_d2l().Vocab([words.to_list()], reserved_tokens=["<pad>", "<mask>", "<cls>", "<sep>"])
    sides, labels = (frame["premise"].to_list(), frame["hypothesis"].to_list()), frame["label"].to_list()
    started = time.perf_counter()
    BookDataset(*sides, labels, MAX_LENGTH, vocab)
    return time.perf_counter() - started


def mapped(text: Path, rows: int, cores: int) -> float:
    """`datasets.map` with the fast tokenizer, on processes."""
    import datasets
    from transformers import BertTokenizerFast

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    datasets.disable_progress_bars()
    fast = BertTokenizerFast(vocab=str(TOKENIZER / "vocab.txt"))
    corpus = datasets.Dataset.from_polars(pl.read_ipc(text, n_rows=rows))

    def encode(batch: dict[str, list[str]]) -> dict[str, list[list[int]]]:
        return dict(fast(batch["premise"], batch["hypothesis"], truncation=True, max_length=MAX_LENGTH))

    started = time.perf_counter()
    corpus.map(encode, batched=True, num_proc=cores, remove_columns=["premise", "hypothesis"])
    return time.perf_counter() - started


def plain(text: Path, rows: int, cores: int) -> float:
    """The fast tokenizer alone, on threads of its own: token ids in memory."""
    from transformers import BertTokenizerFast

    tokenizer = BertTokenizerFast(vocab=str(TOKENIZER / "vocab.txt")).backend_tokenizer
    tokenizer.enable_truncation(MAX_LENGTH)
    frame = pl.read_ipc(text, n_rows=rows)
    pairs = list(zip(frame["premise"].to_list(), frame["hypothesis"].to_list(), strict=True))
    started = time.perf_counter()
    np.concatenate([encoding.ids for encoding in tokenizer.encode_batch_fast(pairs)])
    return time.perf_counter() - started


WAYS: dict[str, Callable[[Path, int, int], float]] = {"ours": ours, "book": book, "datasets": mapped, "plain": plain}
NAMES = {
    "ours": "this project",
    "book": "the book's dataset class",
    "datasets": "`datasets.map`, fast tokenizer",
    "plain": "the fast tokenizer alone",
}


def _rows(way: str) -> int:
    return ROWS if way == "ours" else PEER_ROWS


def _workers(way: str, cores: int) -> str:
    if way == "book":
        return "4 processes"
    return f"{cores} {'threads' if way in ('ours', 'plain') else 'processes'}"


def run(way: str, text: Path, rows: int, cores: int) -> dict[str, float]:
    """Seconds and memory of one way."""
    cache = text.parent / "cache"
    threads = {"POLARS_MAX_THREADS": cores, "RAYON_NUM_THREADS": cores}
    return measure(__file__, way, text, rows, cores, **threads, HF_DATASETS_CACHE=cache)


def stage_seconds(corpus: Path, encoder: Path) -> float:
    """Seconds of a process that packs a whole corpus, from its start to its end."""
    started = time.perf_counter()
    measure(str(Path(__file__).with_name("pack_stage.py")), corpus, encoder)
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text, corpus, encoder = (Path(folder) / name for name in ("text.arrow", "corpus", "encoder"))
        snli_text(ARCHIVE, ROWS).write_ipc(text, compat_level=pl.CompatLevel.oldest())  # as cleaning writes it
        write_corpus(ARCHIVE, corpus, ROWS, HELD_OUT_ROWS)
        shutil.copytree(TOKENIZER, encoder)
        (encoder / "config.json").write_text("{}", encoding="utf-8")
        run("ours", text, 1000, 1)  # compiles what is not compiled yet
        text_bytes = text.stat().st_size / ROWS
        told: dict[tuple[str, int], list[dict[str, float]]] = {}
        stages: list[float] = []
        for _ in range(REPEATS):
            stages.append(stage_seconds(corpus, encoder))
            for way in WAYS:
                for cores in (1, CORES) if way == "ours" else (CORES,):
                    told.setdefault((way, cores), []).append(run(way, text, _rows(way), cores))
    stage_rows = ROWS + 2 * HELD_OUT_ROWS
    of_stage = [stage_rows / seconds for seconds in stages]
    rates = {(way, cores): [_rows(way) / run["seconds"] for run in runs] for (way, cores), runs in told.items()}
    rows = [
        (
            NAMES[way],
            f"{_rows(way):,}",
            _workers(way, cores),
            spread(rates[way, cores]),
            f"{max(run['mebibytes'] for run in runs):,.0f}",
            "" if way == "ours" else ratio(rates["ours", cores], rates[way, cores]),
        )
        for (way, cores), runs in told.items()
    ]
    from bounds import bytes_a_second  # imports torch, which the measured processes do without

    bytes_a_row = told["ours", CORES][0]["bytes_a_row"]
    copied = statistics.median(rates["ours", CORES]) * (text_bytes + bytes_a_row) / (bytes_a_second(CORES) / 2)
    write_page(
        "packing",
        "Packing pairs into examples",
        "Pairs made of SNLI's dev and test sentences in fresh combinations, part of the words exchanged for rare ones; "
        f"packed to at most {MAX_LENGTH} tokens. Medians of {REPEATS} alternating runs [least, largest]; packages are "
        "imported and compiled loops loaded before the clock starts. Of ours, two threads are faster than one by "
        f"{ratio(rates['ours', CORES], rates['ours', 1])}. Shards take {bytes_a_row:.1f} bytes a row on the disk, the "
        f"book's tensors {2 * 8 * MAX_LENGTH + 16} in memory.",
        f"Text and shards together are {text_bytes + bytes_a_row:.0f} bytes a row; copying as many would take "
        f"{copied:.1%} of our time on {CORES} threads. There are no floating-point operations: what bounds packing "
        "is the splitting loop's few instructions for each byte of text.",
        table(("way", "rows", "on", "rows/s", "largest memory, MiB", "ours is faster by"), rows),
        f"The whole stage: a process that imports what it needs, reads Parquet files, cleans, tokenizes and writes "
        f"{stage_rows:,} rows takes {spread(stages, 1)} s from start to end. That is {spread(of_stage)} rows/s, "
        f"{ratio(of_stage, rates['book', CORES])} times the book's dataset class without its imports.",
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        way, text, rows, cores = sys.argv[1:]
        print(json.dumps({"seconds": WAYS[way](Path(text), int(rows), int(cores))}))
    else:
        main()
