"""Examples of different lengths, one after the other, and padded batches of some of them.

Three examples of 4, 2 and 3 tokens, the second without a hypothesis:

    input_ids   [C a S b | C S | C a S]    C: [CLS], S: [SEP]
    lengths     [4, 2, 3]
    boundaries  [3, 2, 3]                  where an example's hypothesis begins; its length if it has none

Packing does without torch, which takes a second to import.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nli_core.arrays import IntArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """Examples padded [batch, length] or packed [tokens]: input_ids and token_type_ids int64, lengths int64 [batch]."""

    input_ids: "Tensor"
    token_type_ids: "Tensor"
    lengths: "Tensor"

    def to(self, device: "torch.device") -> "Batch":
        """Copy the batch to a device."""
        parts = (self.input_ids, self.token_type_ids, self.lengths)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


@dataclass(frozen=True)
class RaggedExamples:
    """Token ids [tokens] of all examples, with lengths and boundaries [rows]; `pad_id` fills batches.

    A row is an example, or one of several windows of it: `owners` [rows] then has the example of each row, from 0.
    `second_type` is the token type from the boundary on: 1, or 0 for a tokenizer that does not tell texts apart.
    """

    input_ids: "np.ndarray[Any, Any]"
    lengths: IntArray
    boundaries: IntArray
    pad_id: int
    second_type: int = 1
    owners: IntArray | None = None

    @classmethod
    def concatenate(cls, parts: "Sequence[RaggedExamples]") -> "RaggedExamples":
        """Join one part or more into one, in their order."""
        owners = None
        if parts[0].owners is not None:
            firsts = np.cumsum([0, *(part.count for part in parts[:-1])])
            owners = np.concatenate([first + part.of_rows() for first, part in zip(firsts, parts, strict=True)])
        return cls(
            np.concatenate([part.input_ids for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate([part.boundaries for part in parts]),
            parts[0].pad_id,
            parts[0].second_type,
            owners,
        )

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.lengths)

    @property
    def count(self) -> int:
        """Count the examples."""
        return len(self) if self.owners is None else int(self.owners[-1]) + 1 if len(self) else 0

    def of_rows(self) -> IntArray:
        """Return the example of each row [rows]."""
        return np.arange(len(self)) if self.owners is None else self.owners

    def average(self, computed: "Tensor") -> "Tensor":
        """Average what was computed for each row [rows, ..] over the windows of each example: [examples, ..]."""
        import torch

        if self.owners is None:
            return computed
        owners = torch.from_numpy(self.owners)
        sums = torch.zeros(self.count, *computed.shape[1:], dtype=computed.dtype).index_add_(0, owners, computed)
        return sums / torch.bincount(owners, minlength=self.count)[:, None]

    @property
    def pairs(self) -> bool:
        """Whether examples have a second text."""
        return bool((self.boundaries < self.lengths).any())

    @cached_property
    def _starts(self) -> IntArray:
        return np.cumsum(self.lengths) - self.lengths

    def batch(self, examples: IntArray, length: int | None = None) -> Batch:
        """Gather the examples with these indices, padded to `length`, or to the longest of them."""
        import torch

        lengths = self.lengths[examples]
        positions = np.arange(int(lengths.max()) if length is None else length)
        inside = positions < lengths[:, None]
        indices = np.where(inside, self._starts[examples][:, None] + positions, 0)
        input_ids = np.where(inside, self.input_ids[indices], self.pad_id).astype(np.int64)
        second = inside & (positions >= self.boundaries[examples][:, None])
        types = second.astype(np.int64) * self.second_type
        return Batch(torch.from_numpy(input_ids), torch.from_numpy(types), torch.from_numpy(lengths))
