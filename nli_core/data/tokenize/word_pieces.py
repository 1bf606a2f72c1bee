"""WordPiece as a compiled loop: the longest match comes first, from the left (Song et al., 2021).

The package tokenizers takes 8 µs a word for this, most of it around the matching. It is the oracle in tests.
"""

from dataclasses import dataclass

import numpy as np
import tokenizers
from tokenizers.models import WordPiece

from nli_core.arrays import Bytes, Int32s, Ints, UInt64s
from nli_core.compiled import compiled
from nli_core.data.tokenize.kernels import EMPTY, NO_KEY, begins, hash_table, longer_key, slot_of


@dataclass(frozen=True)
class WordPieces:
    """The pieces of a vocabulary in a hash table of their bytes, and how a tokenizer matches them."""

    slots: Int32s
    pool: Bytes
    ends: Ints
    ids: Int32s
    prefix: Bytes  # before a piece that does not begin its word
    unknown_id: int
    longest_word: int  # in bytes; a longer one is unknown

    @classmethod
    def of(cls, tokenizer: tokenizers.Tokenizer) -> "WordPieces | None":
        """Read the pieces of a tokenizer for plain ASCII words; None where it is of another kind."""
        model, vocabulary = tokenizer.model, tokenizer.get_vocab(with_added_tokens=False)
        if not isinstance(model, WordPiece) or model.unk_token not in vocabulary:
            return None
        pieces = [piece.encode() for piece in vocabulary]
        pool, ends = _bytes(b"".join(pieces)), np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
        return cls(
            slots=hash_table(_keys(pool, ends), 2 * len(pieces)),
            pool=pool,
            ends=ends,
            ids=np.fromiter(vocabulary.values(), np.int32, count=len(pieces)),
            prefix=_bytes(model.continuing_subword_prefix.encode()),
            unknown_id=vocabulary[model.unk_token],
            longest_word=model.max_input_chars_per_word,
        )

    def spell(self, words: Bytes, starts: Ints) -> tuple[Int32s, Ints]:
        """Return the ids of all words, one after the other, and how many each has.

        Word i is `words[starts[i] : starts[i + 1]]`.
        """
        pieces = (self.slots, self.pool, self.ends, self.ids)
        return _spell(words, starts, *pieces, self.prefix, self.unknown_id, self.longest_word)


@compiled
def _spell(
    words: Bytes,
    starts: Ints,
    slots: Int32s,
    pool: Bytes,
    ends: Ints,
    ids: Int32s,
    prefix: Bytes,
    unknown_id: int,
    longest_word: int,
) -> tuple[Int32s, Ints]:
    count = len(starts) - 1
    out = np.empty(starts[count] - starts[0], np.int32)  # a piece has a byte at least
    lengths = np.empty(count, np.int64)
    after_prefix = NO_KEY
    for at in range(len(prefix)):
        after_prefix = longer_key(after_prefix, prefix[at], at + 1)
    written = 0
    for word in range(count):
        first, at, end = written, starts[word], starts[word + 1]
        known = end - at <= longest_word
        while known and at < end:
            inside = at > starts[word]
            key, before = (after_prefix, prefix) if inside else (NO_KEY, prefix[:0])
            longest, match = at, EMPTY
            for to in range(at, end):
                key = longer_key(key, words[to], len(before) + to + 1 - at)
                slot = slot_of(key, slots)
                while slots[slot] != EMPTY:
                    if _is_piece(slots[slot], pool, ends, words[at : to + 1], before):
                        longest, match = to + 1, slots[slot]
                        break
                    slot = (slot + 1) & (len(slots) - 1)
            known = match != EMPTY
            if known:
                out[written] = ids[match]
                written += 1
                at = longest
        if not known:
            out[first] = unknown_id
            written = first + 1
        lengths[word] = written - first
    return out[:written], lengths


@compiled
def _is_piece(number: int, pool: Bytes, ends: Ints, part: Bytes, prefix: Bytes) -> bool:
    start = ends[number - 1] if number else 0
    if ends[number] - start != len(prefix) + len(part):
        return False
    return begins(pool[start:], prefix) and begins(pool[start + len(prefix) :], part)


@compiled
def _keys(pool: Bytes, ends: Ints) -> UInt64s:
    keys = np.empty(len(ends), np.uint64)
    start = 0
    for number in range(len(keys)):
        keys[number] = NO_KEY
        for at in range(start, ends[number]):
            keys[number] = longer_key(keys[number], pool[at], at + 1 - start)
        start = ends[number]
    return keys


def _bytes(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)
