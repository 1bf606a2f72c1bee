"""From indices of examples to batches on a device, in the layout that it computes fastest.

    padded  gathered on the CPU, [batch, length]
    packed  gathered on the device from a corpus that is there as a whole, [tokens]: a step sends only the indices

550,000 pairs of SNLI's are about 70 MB on the device. The tokens of a packed batch are rounded up, so that batches of a
training have few different shapes; filler examples make up the difference.
"""

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from nli_core.arrays import IntArray
from nli_core.data.examples.ragged import Batch, RaggedExamples

TOKEN_STEP = 1024  # the tokens of a packed batch are a multiple of it


class Loader(Protocol):
    """Makes batches of a corpus."""

    @property
    def longest(self) -> int | None:
        """A bound on the lengths in a packed batch."""

    def batch(self, indices: IntArray) -> Batch:
        """Load the examples with these indices; a packed batch has further ones after them."""


class PaddedLoader:
    """Pads each batch to its longest example, or to the longest of `padded`, a length for each example."""

    longest: int | None = None

    def __init__(self, examples: RaggedExamples, device: torch.device, padded: IntArray | None) -> None:
        self._examples, self._device = examples, device
        self._padded = examples.lengths if padded is None else padded

    def batch(self, indices: IntArray) -> Batch:
        return self._examples.batch(indices, int(self._padded[indices].max())).to(self._device)


class PackedLoader:
    """Keeps the whole corpus on the device."""

    def __init__(self, examples: RaggedExamples, device: torch.device) -> None:
        self._device = device
        self._lengths, self._second_type = examples.lengths, examples.second_type
        self.longest = int(examples.lengths.max(initial=2))
        starts = np.cumsum(examples.lengths) - examples.lengths
        # One token more, since the filling's first example may have two where the corpus has but one.
        self._input_ids = torch.from_numpy(np.append(examples.input_ids, examples.pad_id).astype(np.int32)).to(device)
        self._starts, self._boundaries = (torch.from_numpy(part).to(device) for part in (starts, examples.boundaries))

    def batch(self, indices: IntArray) -> Batch:
        lengths = np.concatenate([self._lengths[indices], self._filling(int(self._lengths[indices].sum()))])
        tokens, examples = int(lengths.sum()), len(lengths)
        # The filling reads the corpus' first tokens.
        sent = np.stack([np.concatenate([indices, np.zeros(examples - len(indices), np.int64)]), lengths])
        index, length = send(sent, self._device)
        row = torch.repeat_interleave(torch.arange(examples, device=self._device), length, output_size=tokens)
        position = torch.arange(tokens, device=self._device) - (length.cumsum(0) - length)[row]
        source = self._starts[index]
        source[len(indices) :] = 0
        input_ids = self._input_ids[source[row] + position].long()
        token_type_ids = (position >= self._boundaries[index][row]).long() * self._second_type
        return Batch(input_ids, token_type_ids, length)

    def _filling(self, tokens: int) -> IntArray:
        """Return lengths of examples that fill the tokens up to a multiple of the step; as many for every batch."""
        count = (TOKEN_STEP - 1) // (self.longest - 1) + 1
        whole, rest = divmod(-(tokens + count) % TOKEN_STEP, self.longest - 1)
        lengths = np.ones(count, np.int64)
        lengths[:whole] += self.longest - 1
        lengths[whole] += rest
        return lengths


def send(numbers: IntArray, device: torch.device) -> Tensor:
    """Copy numbers to a device, without waiting for what it does at the time."""
    sent = torch.from_numpy(numbers)
    return sent.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else sent


def make_loader(
    examples: RaggedExamples, device: torch.device, *, packed: bool, padded: IntArray | None = None
) -> Loader:
    """Make a loader for a device that computes packed batches, or batches padded to `padded`."""
    return PackedLoader(examples, device) if packed else PaddedLoader(examples, device, padded)
