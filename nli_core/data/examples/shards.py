"""Shards: Arrow IPC files of packed examples, read by memory map.

    id_step: uint8/32    the example's id less the id before it, or 0; the first id stands in the metadata. An id is the
                         row of the example in the file that its split came from, from 0. Windows of one example, which
                         come one after the other, have the same id
    input_ids: list      the example's token ids, uint16 where the vocabulary fits, else uint32; no padding
    boundary: uint8/16   where the hypothesis begins; token_type_ids are 0 before it, and `second_type` from there on
    label: uint8/16      index in the metadata's `labels`; of a multi-label corpus a sorted list of them

One record batch a file, so that every column is one contiguous piece of the map.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from nli_core.arrays import IntArray
from nli_core.config import PackConfig
from nli_core.data.arrow import to_arrow, to_numpy
from nli_core.data.corpus.layout import Split
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.examples.targets import Targets, read_targets, write_targets
from nli_core.errors import UserError

_METADATA_KEY = b"nli"


class ShardMetadata(BaseModel):
    """What every shard says about itself and the packing that made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    first_id: int
    labels: tuple[str, ...]
    tokenizer_sha256: str
    vocabulary_size: int
    pad_id: int
    config: PackConfig
    truncated_examples: int
    truncated_tokens: int
    second_type: int = 1
    separator: str | None = None  # between the labels of an answer, where the corpus is multi-label

    def to_json(self) -> str:
        """Return the metadata as it is written: without later defaults, so that shards of before keep their bytes."""
        left_out: dict[str, Any] = {"config": self.config.later_defaults()}
        left_out |= {name: True for name in ("second_type", "separator") if getattr(self, name) in (1, None)}
        return self.model_dump_json(exclude=left_out)


def shard_name(split: Split, index: int) -> str:
    """Return the file name of a shard."""
    return f"{split}-{index:05d}.arrow"


def write_shard(path: Path, ids: IntArray, targets: Targets, examples: RaggedExamples, metadata: ShardMetadata) -> None:
    """Write one shard, which appears when it is whole. Its bytes depend on the arguments alone.

    `ids` [examples] and `targets` are those of the examples.
    """
    ids, targets = ids[examples.of_rows()], targets[examples.of_rows()]
    id_type = np.uint16 if metadata.vocabulary_size <= 2**16 else np.uint32
    boundary_type = np.uint8 if metadata.config.max_length < 2**8 else np.uint16
    offsets = np.concatenate([[0], np.cumsum(examples.lengths)]).astype(np.int32)
    steps = np.diff(ids.astype(np.int64), prepend=metadata.first_id)
    step_type = np.uint8 if steps.max(initial=0) < 2**8 else np.uint32
    columns: dict[str, pa.Array[Any]] = {
        "id_step": to_arrow(steps.astype(step_type)),
        "input_ids": pa.ListArray.from_arrays(to_arrow(offsets), to_arrow(examples.input_ids.astype(id_type))),
        "boundary": to_arrow(examples.boundaries.astype(boundary_type)),
        "label": write_targets(targets, len(metadata.labels)),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    schema = batch.schema.with_metadata({_METADATA_KEY: metadata.to_json().encode()})
    partial = path.with_name(f".{path.name}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))
    partial.replace(path)


class ShardSet:
    """All shards of one split: its `examples`, and `ids` and `targets` of all examples, and `row_ids` of all rows."""

    def __init__(self, folder: Path, split: Split) -> None:
        """Open the shards of a split in the folder that pack left.

        Raises:
            UserError: there is none, or they disagree about labels, tokenizer or length.
        """
        paths = sorted(folder.glob(f"{split}-*.arrow"))
        if not paths:
            raise UserError(f"{folder}: has no shards of {split}; run the stage pack")
        tables = [_read(path) for path in paths]
        self.metadata = [_metadata(table) for table in tables]
        first = self.metadata[0]
        for path, other in zip(paths, self.metadata, strict=True):
            alike = ("labels", "separator", "tokenizer_sha256", "pad_id")
            if any(getattr(other, name) != getattr(first, name) for name in alike):
                raise UserError(f"{path}: was packed with other labels or another tokenizer than {paths[0].name}")
        self.split = split
        self.labels, self.separator = first.labels, first.separator
        self.row_ids = np.concatenate(
            [
                metadata.first_id + np.cumsum(to_numpy(table.column("id_step")), dtype=np.int64)
                for table, metadata in zip(tables, self.metadata, strict=True)
            ]
        )
        targets = [read_targets(table.column("label"), len(first.labels)) for table in tables]
        self.row_targets = np.concatenate(targets).astype(np.int64 if first.separator is None else np.bool_, copy=False)
        begins = np.diff(self.row_ids, prepend=-1) != 0  # of another example than the row before
        self.ids, self.targets = self.row_ids[begins], self.row_targets[begins]
        lists = [table.column("input_ids") for table in tables]
        values = [to_numpy(column.values) for column in lists]
        self.examples = RaggedExamples(
            input_ids=values[0] if len(values) == 1 else np.concatenate(values),
            lengths=np.concatenate([np.diff(to_numpy(column.offsets)) for column in lists]).astype(np.int64),
            boundaries=_joined(tables, "boundary").astype(np.int64),
            pad_id=first.pad_id,
            second_type=first.second_type,
            owners=None if begins.all() else np.cumsum(begins) - 1,
        )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.examples)


def _read(path: Path) -> pa.RecordBatch:
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).get_batch(0)
        except pa.ArrowInvalid as error:
            raise UserError(f"{path}: is not a shard ({error}); run the stage pack again") from None


def _metadata(table: pa.RecordBatch) -> ShardMetadata:
    stored = (table.schema.metadata or {})[_METADATA_KEY]
    return ShardMetadata.model_validate(json.loads(stored))


def _joined(tables: Sequence[pa.RecordBatch], name: str) -> "np.ndarray[Any, Any]":
    return np.concatenate([to_numpy(table.column(name)) for table in tables])
