"""From texts to ragged BERT inputs: `[CLS] premise [SEP] hypothesis [SEP]`, or `[CLS] text [SEP]`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nli_core.data.ragged import RaggedExamples
from nli_core.data.tokenizer import Tokenizer
from nli_core.data.truncation import IntArray, longest_first


@dataclass(frozen=True)
class EncodedTexts:
    """Examples ready for the encoder, and how many of them and of their tokens truncation touched."""

    examples: RaggedExamples
    truncated_examples: int
    truncated_tokens: int


def encode_texts(
    tokenizer: Tokenizer, premises: Sequence[str], hypotheses: Sequence[str] | None, max_length: int
) -> EncodedTexts:
    """Tokenize, truncate to `max_length` tokens (special ones included) and add the special tokens."""
    premise_ids, premise_lengths = tokenizer.encode(premises)
    if hypotheses is None:
        kept = np.minimum(premise_lengths, max_length - 2)
        pieces = [_Piece.constant(tokenizer.cls_id, kept), _Piece(premise_ids, premise_lengths, kept)]
        pieces.append(_Piece.constant(tokenizer.sep_id, kept))
        cut = premise_lengths - kept
    else:
        hypothesis_ids, hypothesis_lengths = tokenizer.encode(hypotheses)
        kept, hypothesis_kept = longest_first(premise_lengths, hypothesis_lengths, max_length - 3)
        separator = _Piece.constant(tokenizer.sep_id, kept)
        pieces = [_Piece.constant(tokenizer.cls_id, kept), _Piece(premise_ids, premise_lengths, kept), separator]
        pieces += [_Piece(hypothesis_ids, hypothesis_lengths, hypothesis_kept), separator]
        cut = premise_lengths - kept + hypothesis_lengths - hypothesis_kept
    input_ids, lengths = _interleave(pieces)
    examples = RaggedExamples(input_ids, lengths, kept + 2, tokenizer.pad_id)
    return EncodedTexts(examples, int(np.count_nonzero(cut)), int(cut.sum()))


@dataclass(frozen=True)
class _Piece:
    """A ragged array, flat, of which the first `kept` values of every row are used."""

    values: IntArray
    lengths: IntArray
    kept: IntArray

    @classmethod
    def constant(cls, value: int, like: IntArray) -> "_Piece":
        ones = np.ones_like(like)
        return cls(np.full(len(like), value, dtype=np.int64), ones, ones)


def _interleave(pieces: Sequence[_Piece]) -> tuple[IntArray, IntArray]:
    """Row by row, the kept values of every piece in turn."""
    lengths = np.sum([piece.kept for piece in pieces], axis=0)
    row_ends = np.cumsum(lengths)
    out = np.empty(int(row_ends[-1]) if len(row_ends) else 0, dtype=np.int64)
    place = row_ends - lengths
    for piece in pieces:
        first_kept = np.cumsum(piece.kept) - piece.kept
        within = np.arange(int(piece.kept.sum())) - np.repeat(first_kept, piece.kept)
        source_starts = np.cumsum(piece.lengths) - piece.lengths
        out[np.repeat(place, piece.kept) + within] = piece.values[np.repeat(source_starts, piece.kept) + within]
        place = place + piece.kept
    return out, lengths
