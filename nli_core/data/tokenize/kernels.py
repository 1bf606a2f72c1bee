"""Compiled loops over the bytes of texts: split them into known words, and gather the ids of the words.

A text is UTF-8. A table says of each byte which letter of a word it becomes, or else its kind (`BREAK`, `ALONE`, ...).
These rules cover the project's tokenizers for plain ASCII. A text with a byte of the kind `HARD` is left to the
tokenizer itself. All loops run without Python's lock.
"""

import numpy as np

from nli_core.arrays import Bytes, Int32s, Ints, UInt64s
from nli_core.compiled import compiled

BREAK, ALONE, DROP, HARD = range(128, 132)
"""A byte between words; a word of its own; one that is dropped; one that the rules do not cover. Letters are below."""

HARD_TEXT = -1
"""The number of words of a text that has a byte of the kind `HARD`, or is very long."""

Vocabulary = tuple[UInt64s, Bytes, Ints, int]

_TEXTS_PER_CALL = 256
_LONGEST_TEXT = 1 << 14  # bytes; a longer one is left to the tokenizer, to limit the room for it

# The key of a word is its letters, up to eight; a longer word's is a hash, and has the highest bit. No key is 0.
_KEY_LETTERS, _LETTER_BITS = 8, np.uint64(8)
_NO_WORD, _LONG_WORD = np.uint64(0), np.uint64(1 << 63)
_PRIME = np.uint64(1099511628211)  # FNV-1a
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio (Knuth, The Art of Computer Programming 3, 6.4)
_HALF = np.uint64(32)


@compiled
def split_and_lookup(
    data: Bytes, offsets: Ints, becomes: Bytes, slots: UInt64s, pool: Bytes, pool_ends: Ints, known: int
) -> tuple[Int32s, Int32s, Vocabulary]:
    """Split texts into words and look each word up, adding those that are new.

    `data` and `offsets` [texts + 1] are an Arrow string column's buffers, and `becomes` [256] is the table of bytes.
    The vocabulary has `known` words: `pool` holds their letters, word i ending at `pool_ends[i]`. `slots` [a power of
    2, 2] is an open-addressing hash table of their keys and numbers. Returns the numbers of all words of all texts, how
    many each text has (`HARD_TEXT`: left out), and the vocabulary with the new words.
    """
    texts = len(offsets) - 1
    words = np.empty(offsets[texts] - offsets[0] + 1, np.int32)
    counts = np.empty(texts, np.int32)
    found = 0
    for first in range(0, texts, _TEXTS_PER_CALL):
        last = min(first + _TEXTS_PER_CALL, texts)
        # Room for the most that so many texts can hold, so that the inner loop needs no checks.
        most = 1
        for text in range(first, last):
            size = offsets[text + 1] - offsets[text]
            most += size if size <= _LONGEST_TEXT else 0
        start = pool_ends[known - 1] if known else 0
        if start + most > len(pool):
            pool = np.concatenate((pool, np.empty(len(pool) + most, np.uint8)))
        if known + most > len(pool_ends):
            pool_ends = np.concatenate((pool_ends, np.empty(len(pool_ends) + most, np.int64)))
        if 2 * (known + most) > len(slots):
            slots = _with_room(slots, known + most)
        found, known = _split_some(
            data, offsets, first, last, becomes, slots, pool, pool_ends, known, words, found, counts
        )
    return words[:found], counts, (slots, pool, pool_ends, known)


@compiled
def _split_some(
    data: Bytes,
    offsets: Ints,
    first: int,
    last: int,
    becomes: Bytes,
    slots: UInt64s,
    pool: Bytes,
    pool_ends: Ints,
    known: int,
    words: Int32s,
    found: int,
    counts: Int32s,
) -> tuple[int, int]:
    """Split some texts, whose words are known to fit into the vocabulary's arrays."""
    for text in range(first, last):
        first_of_text = found
        at, end = offsets[text], offsets[text + 1]
        if end - at > _LONGEST_TEXT:
            counts[text] = HARD_TEXT
            continue
        while at < end:
            start, length, key = at, 0, _NO_WORD
            kind = np.uint8(BREAK)
            while at < end:
                kind = becomes[data[at]]
                if kind < BREAK:
                    letter = np.uint64(kind)
                    key = (key << _LETTER_BITS) | letter if length < _KEY_LETTERS else (key ^ letter) * _PRIME
                    length += 1
                elif kind != DROP:
                    break
                at += 1
            if kind == HARD:
                break
            if length == 0:
                at += 1
                if kind != ALONE:
                    continue
                start, length, key = at - 1, 1, np.uint64(data[at - 1])
            elif kind == BREAK:
                at += 1
            if length > _KEY_LETTERS:
                key |= _LONG_WORD
            slot = _slot_of(key, len(slots))
            while slots[slot, 0] != _NO_WORD:
                if slots[slot, 0] == key:
                    if length <= _KEY_LETTERS:
                        break
                    number = np.int64(slots[slot, 1])
                    begin = pool_ends[number - 1] if number else 0
                    if pool_ends[number] - begin == length and _is_word(data, start, becomes, pool, begin, length):
                        break
                slot = (slot + 1) & (len(slots) - 1)
            if slots[slot, 0] == _NO_WORD:
                begin = pool_ends[known - 1] if known else 0
                _write_word(data, start, becomes, pool, begin, length)
                pool_ends[known] = begin + length
                slots[slot, 0], slots[slot, 1] = key, np.uint64(known)
                known += 1
            words[found] = np.int32(slots[slot, 1])
            found += 1
        if at < end:
            found = first_of_text
            counts[text] = HARD_TEXT
        else:
            counts[text] = found - first_of_text
    return found, known


@compiled
def _slot_of(key: np.uint64, size: int) -> np.int64:
    """Return where in a hash table of this size to look first for a word."""
    spread = key * _GOLDEN
    return np.int64((spread ^ (spread >> _HALF)) & np.uint64(size - 1))


@compiled
def _with_room(slots: UInt64s, room: int) -> UInt64s:
    """Make a hash table of the words of a smaller one. With `room` words, half of it is taken at most."""
    size = len(slots)
    while size < 2 * room:
        size *= 2
    larger = np.zeros((size, 2), np.uint64)
    for key, number in slots:
        if key != _NO_WORD:
            slot = _slot_of(key, size)
            while larger[slot, 0] != _NO_WORD:
                slot = (slot + 1) & (size - 1)
            larger[slot, 0], larger[slot, 1] = key, number
    return larger


@compiled
def _is_word(data: Bytes, start: int, becomes: Bytes, pool: Bytes, begin: int, length: int) -> bool:
    """Return whether the letters of a text from `start` on are those in the pool from `begin` on."""
    same, at = 0, start
    while same < length:
        if becomes[data[at]] != DROP:
            if becomes[data[at]] != pool[begin + same]:
                return False
            same += 1
        at += 1
    return True


@compiled
def _write_word(data: Bytes, start: int, becomes: Bytes, pool: Bytes, begin: int, length: int) -> None:
    """Write the next `length` letters of a text from `start` on, or a byte that is a word, to the pool."""
    written, at = 0, start
    while written < length:
        kind = becomes[data[at]]
        if kind != DROP:
            pool[begin + written] = data[at] if kind == ALONE else kind
            written += 1
        at += 1


@compiled
def gather_ids(words: Int32s, counts: Int32s, ids: Int32s, id_starts: Ints) -> tuple[Int32s, Ints]:
    """Gather the ids of texts from their word numbers, `counts[i]` of them in text i; count each text's ids.

    The ids of word number w are `ids[id_starts[w] : id_starts[w + 1]]`.
    """
    total = 0
    for word in words:
        total += id_starts[word + 1] - id_starts[word]
    out = np.empty(total, np.int32)
    lengths = np.empty(len(counts), np.int64)
    word, written = 0, 0
    for text in range(len(counts)):
        before = written
        for _ in range(counts[text]):
            for at in range(id_starts[words[word]], id_starts[words[word] + 1]):
                out[written] = ids[at]
                written += 1
            word += 1
        lengths[text] = written - before
    return out, lengths
