"""What an example is joined from: texts' ids, cut to what is kept of them, and special tokens between them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nli_core.data.examples.truncate import IntArray


@dataclass(frozen=True)
class Ragged:
    """A ragged array, flat, of which the first `kept` values of every row are used."""

    values: IntArray
    lengths: IntArray
    kept: IntArray


@dataclass(frozen=True)
class Repeated:
    """One value, `kept` times in each row."""

    value: int
    kept: IntArray


Piece = Ragged | Repeated


def join_pieces(pieces: Sequence[Piece]) -> tuple[IntArray, IntArray]:
    """Row by row, the kept values of every piece in turn, flat; and the length of each row."""
    lengths = np.sum([piece.kept for piece in pieces], axis=0)
    row_ends = np.cumsum(lengths)
    out = np.empty(int(row_ends[-1]) if len(row_ends) else 0, dtype=np.int64)
    place = row_ends - lengths
    for piece in pieces:
        first_kept = np.cumsum(piece.kept) - piece.kept
        within = np.arange(int(piece.kept.sum())) - np.repeat(first_kept, piece.kept)
        targets = np.repeat(place, piece.kept) + within
        if isinstance(piece, Repeated):
            out[targets] = piece.value
        else:
            source_starts = np.cumsum(piece.lengths) - piece.lengths
            out[targets] = piece.values[np.repeat(source_starts, piece.kept) + within]
        place = place + piece.kept
    return out, lengths
