"""Packing of one shard, on its own thread or machine.

Its compiled loops take a second to load. Where no words are to be learned, `pack` does so while it reads the corpus.
"""

from collections.abc import Iterator

import numpy as np
import polars as pl
import pyarrow as pa

from nli_core.data.arrow import to_numpy
from nli_core.data.examples.compiled_join import join_parts_compiled
from nli_core.data.examples.encode import Texts, encode_texts
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
        of_parts.append([to_numpy(rows["id"]).copy(), read_targets(rows["label"], len(job.labels)).copy()])
        hypotheses = _texts(rows, "hypothesis", tokenizer) if "hypothesis" in rows.schema.names else None
        premises = _texts(rows, "premise", tokenizer)
        encoded.append(encode_texts(tokenizer, premises, hypotheses, job.config, join=join_parts_compiled))
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


def _parts(job: ShardJob) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a job in the parts that they were written in, so that memory holds few long texts."""
    start, end = job.start, job.start + job.rows
    # The memory map counts rows without reading them; read through it, they would count as this process' memory.
    with pa.memory_map(str(job.table)) as mapped, pa.OSFile(str(job.table)) as file:
        counts, table = pa.ipc.open_file(mapped), pa.ipc.open_file(file)
        first = 0
        for number in range(table.num_record_batches):
            last = first + counts.get_batch(number).num_rows
            if first < end and last > start:
                yield table.get_batch(number).slice(max(0, start - first), min(end, last) - max(start, first))
            first = last


def _texts(rows: pa.RecordBatch, name: str, tokenizer: Tokenizer) -> Texts:
    parse = f"{name}_parse"
    if not tokenizer.reads_parses or parse not in rows.schema.names:
        return Texts(rows[name])
    words = pl.Series(rows[parse]).str.replace_all("[()]", "").str.strip_chars()
    return Texts(rows[name], words.to_arrow(compat_level=pl.CompatLevel.oldest()))
