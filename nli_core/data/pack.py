"""The pack stage: a corpus' text and an encoder's tokenizer in, Arrow shards out."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from nli_core.config import PackConfig
from nli_core.data.arrow import strings
from nli_core.data.corpus.cleaning import CleanTable
from nli_core.data.corpus.layout import SPLITS, CorpusLayout, Split
from nli_core.data.corpus.splitting import shared_examples
from nli_core.data.corpus.tables import split_tables
from nli_core.data.examples.shards import shard_name
from nli_core.data.shard_job import RunJobs, ShardFacts, ShardJob
from nli_core.data.tokenize.tokenizer import copy_tokenizer, learn_tokenizer, words_to_learn
from nli_core.data.tokenize.trial import try_tokenizer
from nli_core.errors import UserError
from nli_core.filenames import TOKENIZER, text_name

_SCRATCH = "scratch"
_PERCENTILES = (50, 90, 99, 100)
_MOST_BINS = 64  # of the histogram of lengths: [first length, examples] each


def pack(
    corpus: Path,
    layout: CorpusLayout,
    encoder: Path,
    config: PackConfig,
    *,
    out: Path,
    run_jobs: RunJobs,
    positions: int | None = None,
    names: Mapping[Split, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Leave shards of every split in `out`, their tokenizer, and the text of dev and test.

    A split that the corpus lacks is carved from train.

    `layout` says how the corpus' files are to be read. `run_jobs` calls `pack_shard` on every job, in any order and on
    as many workers as it likes, and returns what the calls returned. `positions` is the encoder's longest input, if it
    has one. `names` is what errors call the files of splits.
    Returns the facts.

    Raises:
        UserError: a fault in the data (with file, line and value) or a contradiction between config and encoder.
    """
    _check_encoder(encoder, config, positions)
    shutil.rmtree(out)
    (out / _SCRATCH).mkdir(parents=True)
    tokenizer = out / TOKENIZER
    tokenizer.mkdir()
    words = words_to_learn(encoder)
    if words is None:
        copy_tokenizer(encoder, tokenizer)
    with ThreadPoolExecutor(1) as aside:
        if words is None:
            aside.submit(_load_loops, tokenizer, config)
        tables, labels = split_tables(layout, corpus, out / _SCRATCH, empty_text=config.empty_text, names=names)
        shared = shared_examples(tables)
    for split, count in shared.items():
        if count and config.shared_examples == "error":
            raise UserError(
                f"{split}: {count:,} of {tables[split].rows:,} examples are in an earlier split too; take them out, "
                "or set pack.shared_examples=report"
            )
    if words is not None:
        learn_tokenizer(_premises(tables["train"]), words, tokenizer)
    digests = {split: tables[split].sha256(labels) for split in SPLITS if split != "train"}
    jobs = [
        ShardJob(
            split=split,
            table=table.path,
            start=start,
            rows=min(config.rows_per_shard, table.rows - start),
            target=out / shard_name(split, index),
            tokenizer=tokenizer,
            labels=labels,
            config=config,
            separator=layout.separator,
        )
        for split, table in tables.items()
        for index, start in enumerate(range(0, table.rows, config.rows_per_shard))
    ]
    packed = run_jobs(jobs)
    _check_every_class_is_trained(packed, labels, layout.remedy("take it out of {section}.labels"))
    for split in digests:  # for people who look at predictions
        tables[split].path.rename(out / text_name(split))
    shutil.rmtree(out / _SCRATCH)
    splits = {
        split: {
            **_split_facts([facts for facts in packed if facts.split == split], labels),
            "dropped": table.dropped,
        }
        for split, table in tables.items()
    }
    return {
        "labels": list(labels),
        "splits": splits,
        "examples_sha256": digests,
        "examples_in_earlier_split": shared,
        "shards": len(jobs),
        "vocabulary_size": packed[0].vocabulary_size,
    }


def _load_loops(tokenizer: Path, config: PackConfig) -> None:
    """Encode two words, which loads what is compiled: a second of Python, while the corpus is read.

    What fails here fails again in `pack_shard`, which says so.
    """
    from nli_core.data.examples.compiled_join import join_parts_compiled
    from nli_core.data.examples.encode import Texts, encode_texts
    from nli_core.data.tokenize.fast import shared_tokenizer

    shared, text = shared_tokenizer(tokenizer), Texts(strings(["a"]))
    other = None if shared.templates.pair is None else text
    encode_texts(shared, text, other, config, join=join_parts_compiled)


def _premises(table: CleanTable) -> Iterator[str]:
    """Yield every premise of a table, reading a part of the file at a time."""
    for batch in table.batches():
        yield from batch["premise"].to_pylist()


def _check_every_class_is_trained(shards: Sequence[ShardFacts], labels: tuple[str, ...], remedy: str) -> None:
    counts = np.sum([shard.labels for shard in shards if shard.split == "train"], axis=0)
    for label, count in zip(labels, counts, strict=True):
        if count == 0:
            raise UserError(f"train: has no example of the label {label!r}; {remedy}")


def _check_encoder(encoder: Path, config: PackConfig, positions: int | None) -> None:
    described = json.loads((encoder / "config.json").read_text(encoding="utf-8"))
    if positions is not None and config.max_length > positions:
        raise UserError(f"pack.max_length: {config.max_length} is above the encoder's {positions} positions")
    if words_to_learn(encoder) is None:
        try_tokenizer(encoder, described.get("vocab_size"))


def _split_facts(shards: Sequence[ShardFacts], labels: tuple[str, ...]) -> dict[str, Any]:
    by_length = np.sum([facts.lengths for facts in shards], axis=0)
    by_label = np.sum([facts.labels for facts in shards], axis=0)
    windows, rows = int(by_length.sum()), sum(facts.examples for facts in shards)
    each_length = np.arange(len(by_length))
    # The smallest length that at least this share of the rows does not exceed.
    reached = np.cumsum(by_length)
    percentiles = {str(share): int(np.searchsorted(reached, share / 100 * windows)) for share in _PERCENTILES}
    starts = each_length[:: -(-len(by_length) // _MOST_BINS)]
    return {
        "rows": rows,
        **({"windows": windows} if windows > rows else {}),
        "tokens": int((by_length * each_length).sum()),
        "length_percentiles": percentiles,
        "length_histogram": np.stack([starts, np.add.reduceat(by_length, starts)], axis=1).tolist(),
        "truncated_examples": sum(facts.truncated_examples for facts in shards),
        "truncated_tokens": sum(facts.truncated_tokens for facts in shards),
        "labels": {name: int(count) for name, count in zip(labels, by_label, strict=True)},
    }
