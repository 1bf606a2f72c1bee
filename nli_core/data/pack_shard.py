"""Packing of one shard, on its own thread or machine.

The compiled loops take a second to import, so `pack` imports this module while it reads the corpus.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from nli_core.config import PackConfig
from nli_core.data.examples.compiled_join import join_parts_compiled
from nli_core.data.examples.encode import EncodedTexts, Texts, encode_texts
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.examples.shards import ShardMetadata, write_shard
from nli_core.data.examples.targets import count_targets, read_targets
from nli_core.data.shard_job import ShardFacts, ShardJob
from nli_core.data.tokenize.fast import shared_tokenizer
from nli_core.data.tokenize.tokenizer import Tokenizer, tokenizer_sha256


def pack_shard(job: ShardJob) -> ShardFacts:
    """Tokenize, truncate and write one shard."""
    tokenizer = shared_tokenizer(job.tokenizer)
    of_parts, encoded = [], []
    for rows in _parts(job):
        # Copied: a view would keep the part's text in memory.
        targets = read_targets(_arrow(rows["label"]), len(job.labels))
        of_parts.append([rows["id"].to_numpy().copy(), targets.copy()])
        encoded.append(encode_rows(rows, tokenizer, job.config))
    ids, targets = (np.concatenate(column) for column in zip(*of_parts, strict=True))
    examples = RaggedExamples.concatenate([part.examples for part in encoded])
    truncated_examples = sum(part.truncated_examples for part in encoded)
    truncated_tokens = sum(part.truncated_tokens for part in encoded)
    metadata = ShardMetadata(
        split=job.split,
        first_id=int(ids[0]),
        labels=job.labels,
        tokenizer_sha256=tokenizer_sha256(job.tokenizer),
        vocabulary_size=tokenizer.vocabulary_size,
        pad_id=tokenizer.pad_id,
        config=job.config,
        truncated_examples=truncated_examples,
        truncated_tokens=truncated_tokens,
        second_type=examples.second_type,
        separator=job.separator,
    )
    write_shard(job.target, ids, targets, examples, metadata)
    return ShardFacts(
        split=job.split,
        examples=len(ids),
        lengths=np.bincount(examples.lengths, minlength=job.config.max_length + 1),
        labels=count_targets(targets, len(job.labels)),
        truncated_examples=truncated_examples,
        truncated_tokens=truncated_tokens,
        vocabulary_size=tokenizer.vocabulary_size,
    )


def encode_rows(rows: pl.DataFrame, tokenizer: Tokenizer, config: PackConfig) -> EncodedTexts:
    """Tokenize rows with the columns of a clean table, in compiled loops."""
    hypotheses = _column(rows, "hypothesis", tokenizer) if "hypothesis" in rows.columns else None
    return encode_texts(tokenizer, _column(rows, "premise", tokenizer), hypotheses, config, join=join_parts_compiled)


def _parts(job: ShardJob) -> Iterator[pl.DataFrame]:
    """Yield the rows of a job in the parts that they were written in, so that memory holds few long texts."""
    start, end = job.start, job.start + job.rows
    # The memory map counts rows without reading them; read through it, they would count as this process' memory.
    with pa.memory_map(str(job.table)) as mapped, pa.OSFile(str(job.table)) as file:
        counts, table = pa.ipc.open_file(mapped), pa.ipc.open_file(file)
        first = 0
        for number in range(table.num_record_batches):
            last = first + counts.get_batch(number).num_rows
            if first < end and last > start:
                rows = table.get_batch(number).slice(max(0, start - first), min(end, last) - max(start, first))
                yield pl.DataFrame(rows)
            first = last


def _column(rows: pl.DataFrame, name: str, tokenizer: Tokenizer) -> Texts:
    parse = f"{name}_parse"
    if not tokenizer.reads_parses or parse not in rows.columns:
        return Texts(_arrow(rows[name]))
    words = rows[parse].str.replace_all("[()]", "").str.strip_chars()
    return Texts(_arrow(rows[name]), _arrow(words))


def _arrow(column: pl.Series) -> Any:
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())
