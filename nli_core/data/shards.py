"""Shards: Arrow IPC files of packed examples, read by memory map.

    id: uint32           row of the example in the file that its split came from, from 0
    input_ids: list      the example's token ids, uint16 where the vocabulary fits, else uint32; no padding
    boundary: uint8/16   where the hypothesis begins (the token_type_ids are 0 before it and 1 from there on)
    label: uint16        place in the metadata's `labels`

One record batch a file, so that every column is one contiguous piece of the map.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from nli_core.data.encoding import EncodedExamples
from nli_core.data.layout import Split
from nli_core.data.truncation import IntArray
from nli_core.errors import UserError

_METADATA_KEY = b"nli"


class ShardMetadata(BaseModel):
    """What every shard says about itself and the packing that made it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    split: Split
    labels: tuple[str, ...]
    tokenizer_sha256: str
    vocabulary_size: int
    pad_id: int
    max_length: int
    truncation: str
    truncated_examples: int
    truncated_tokens: int


class Batch(BaseModel):
    """A padded batch.

    input_ids, token_type_ids: int64 [batch, length]; lengths, labels: int64 [batch].
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    input_ids: Tensor
    token_type_ids: Tensor
    lengths: Tensor
    labels: Tensor


def shard_name(split: Split, index: int) -> str:
    return f"{split}-{index:05d}.arrow"


def write_shard(path: Path, ids: IntArray, labels: IntArray, encoded: EncodedExamples, metadata: ShardMetadata) -> None:
    """Write one shard. Its bytes depend on the arguments alone."""
    id_type = np.uint16 if metadata.vocabulary_size <= 2**16 else np.uint32
    boundary_type = np.uint8 if metadata.max_length < 2**8 else np.uint16
    offsets = np.concatenate([[0], np.cumsum(encoded.lengths)]).astype(np.int32)
    columns: dict[str, pa.Array[Any]] = {
        "id": pa.array(ids.astype(np.uint32)),
        "input_ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(encoded.input_ids.astype(id_type))),
        "boundary": pa.array(encoded.boundaries.astype(boundary_type)),
        "label": pa.array(labels.astype(np.uint16)),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    schema = batch.schema.with_metadata({_METADATA_KEY: metadata.model_dump_json().encode()})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))


class ShardSet:
    """All shards of one split, as flat arrays over their examples."""

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
            if (other.labels, other.tokenizer_sha256, other.pad_id) != (first.labels, first.tokenizer_sha256, first.pad_id):
                raise UserError(f"{path}: was packed with other labels or another tokenizer than {paths[0].name}")
        self.split = split
        self.labels = first.labels
        self.ids = _joined(tables, "id").astype(np.int64)
        self.label_ids = _joined(tables, "label").astype(np.int64)
        self._boundaries = _joined(tables, "boundary").astype(np.int64)
        lists = [table.column("input_ids") for table in tables]
        self.lengths: IntArray = np.concatenate([np.diff(column.offsets.to_numpy()) for column in lists]).astype(np.int64)
        self._starts = np.cumsum(self.lengths) - self.lengths
        self._values = np.concatenate([column.values.to_numpy() for column in lists]) if len(lists) > 1 else (
            lists[0].values.to_numpy()
        )

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(self, examples: IntArray) -> Batch:
        """The examples at these places, padded to the longest of them."""
        lengths = self.lengths[examples]
        positions = np.arange(int(lengths.max()))
        inside = positions < lengths[:, None]
        places = np.where(inside, self._starts[examples][:, None] + positions, 0)
        input_ids = np.where(inside, self._values[places], self.metadata[0].pad_id).astype(np.int64)
        second = inside & (positions >= self._boundaries[examples][:, None])
        return Batch(
            input_ids=torch.from_numpy(input_ids),
            token_type_ids=torch.from_numpy(second.astype(np.int64)),
            lengths=torch.from_numpy(lengths),
            labels=torch.from_numpy(self.label_ids[examples]),
        )


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
    return np.concatenate([table.column(name).to_numpy() for table in tables])
