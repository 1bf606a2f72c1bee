"""Join the segments of examples: ids of texts, cut to what is kept of them, and special tokens between them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from nli_core.arrays import IntArray


@dataclass(frozen=True)
class Segment:
    """A flat ragged array, of which the first `kept` [rows] values of every row are used."""

    values: IntArray
    lengths: IntArray
    kept: IntArray


@dataclass(frozen=True)
class Fill:
    """One value, `kept` [rows] times in each row."""

    value: int
    kept: IntArray


Part = Segment | Fill
Join = Callable[[Sequence[Part]], tuple[IntArray, IntArray]]


def join_parts(parts: Sequence[Part]) -> tuple[IntArray, IntArray]:
    """Return the kept values of every part in turn, row by row and flat, and the length of each row [rows]."""
    lengths = np.sum([part.kept for part in parts], axis=0)
    row_ends = np.cumsum(lengths)
    out = np.empty(int(row_ends[-1]) if len(row_ends) else 0, dtype=np.int64)
    start = row_ends - lengths
    for part in parts:
        first_kept = np.cumsum(part.kept) - part.kept
        within = np.arange(int(part.kept.sum())) - np.repeat(first_kept, part.kept)
        targets = np.repeat(start, part.kept) + within
        if isinstance(part, Fill):
            out[targets] = part.value
        else:
            source_starts = np.cumsum(part.lengths) - part.lengths
            out[targets] = part.values[np.repeat(source_starts, part.kept) + within]
        start = start + part.kept
    return out, lengths
