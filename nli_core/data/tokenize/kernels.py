"""Compiled loops over the bytes of texts: split them into known words, and gather the ids of the words.

A text is UTF-8. One table maps each byte to a class (`BREAK`, `ALONE`, ...), another to its replacement. These rules
cover the project's tokenizers for plain ASCII. A text with a byte of the class `HARD` is left to the tokenizer itself.
All loops run without Python's lock.
"""

import numpy as np

from nli_core.arrays import Bytes, Int32s, Ints
from nli_core.compiled import compiled

WORD, BREAK, ALONE, DROP, HARD = range(5)
"""A byte of a word; one between words; a word of its own; one that is dropped; one that the rules do not cover."""

HARD_TEXT = -1
"""The number of words of a text that has a byte of the class `HARD`, or is very long."""

Vocabulary = tuple[Int32s, Bytes, Ints, int]

OFFSET_BASIS, PRIME = np.uint64(14695981039346656037), np.uint64(1099511628211)  # FNV-1a
_HALF = np.uint64(32)
EMPTY = -1
_TEXTS_PER_CALL = 256
_LONGEST_TEXT = 1 << 14  # bytes; a longer one is left to the tokenizer, to limit the room for it


@compiled
def split_and_lookup(
    data: Bytes, offsets: Ints, classes: Bytes, becomes: Bytes, slots: Int32s, pool: Bytes, pool_ends: Ints, known: int
) -> tuple[Int32s, Int32s, Vocabulary]:
    """Split texts into words and look each word up, adding those that are new.

    `data` and `offsets` [texts + 1] are an Arrow string column's buffers. The vocabulary has `known` words:
    `pool` holds their bytes, word i ending at `pool_ends[i]`. `slots` is an open-addressing hash table of their
    numbers, whose size is a power of 2. Returns the numbers of all words of all texts, how many each text has
    (`HARD_TEXT`: left out), and the vocabulary with the new words.
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
            slots = hash_table(pool, pool_ends, known, known + most)
        found, known = _split_some(
            data, offsets, first, last, classes, becomes, slots, pool, pool_ends, known, words, found, counts
        )
    return words[:found], counts, (slots, pool, pool_ends, known)


@compiled
def _split_some(
    data: Bytes,
    offsets: Ints,
    first: int,
    last: int,
    classes: Bytes,
    becomes: Bytes,
    slots: Int32s,
    pool: Bytes,
    pool_ends: Ints,
    known: int,
    words: Int32s,
    found: int,
    counts: Int32s,
) -> tuple[int, int]:
    """Split some texts, whose words are known to fit into the vocabulary's arrays.

    A word is written behind the known ones in the pool while it is read; if it turns out to be new, it stays there.
    """
    begin = pool_ends[known - 1] if known else 0
    for text in range(first, last):
        first_of_text = found
        length = 0
        word_hash = OFFSET_BASIS
        at, end = offsets[text], offsets[text + 1]
        if end - at > _LONGEST_TEXT:
            counts[text] = HARD_TEXT
            continue
        while at <= end:
            kind = BREAK if at == end else np.int64(classes[data[at]])
            if kind == WORD:
                byte = becomes[data[at]]
                pool[begin + length] = byte
                length += 1
                word_hash = (word_hash ^ np.uint64(byte)) * PRIME
                at += 1
                continue
            if kind == HARD:
                break
            if length == 0 or kind == DROP:
                if kind != ALONE:  # a byte that is passed by, or one break after another
                    at += 1
                    continue
                pool[begin] = data[at]
                length = 1
                word_hash = (OFFSET_BASIS ^ np.uint64(data[at])) * PRIME
                at += 1
            # The word ends here; a byte that is a word of its own is read again, as the next word.
            slot = slot_of(word_hash, slots)
            number = np.int64(slots[slot])
            while number != EMPTY:
                start = pool_ends[number - 1] if number else 0
                if pool_ends[number] - start == length:
                    same = 0
                    while same < length and pool[start + same] == pool[begin + same]:
                        same += 1
                    if same == length:
                        break
                slot = (slot + 1) & (len(slots) - 1)
                number = np.int64(slots[slot])
            if number == EMPTY:
                number = np.int64(known)
                begin += length
                pool_ends[known] = begin
                slots[slot] = known
                known += 1
            words[found] = number
            found += 1
            length = 0
            word_hash = OFFSET_BASIS
        if at <= end:
            found = first_of_text
            counts[text] = HARD_TEXT
        else:
            counts[text] = found - first_of_text
    return found, known


@compiled
def slot_of(word_hash: np.uint64, slots: Int32s) -> np.int64:
    """Return where in a hash table to look first for a word of this hash."""
    return np.int64((word_hash ^ (word_hash >> _HALF)) & np.uint64(len(slots) - 1))


@compiled
def hash_table(pool: Bytes, pool_ends: Ints, known: int, room: int) -> Int32s:
    """Make a hash table of the `known` words of a pool. With `room` words, half of it is taken at most."""
    size = 1
    while size < 2 * room:
        size *= 2
    slots = np.full(size, EMPTY, np.int32)
    start = 0
    for number in range(known):
        word_hash = OFFSET_BASIS
        for at in range(start, pool_ends[number]):
            word_hash = (word_hash ^ np.uint64(pool[at])) * PRIME
        start = pool_ends[number]
        slot = slot_of(word_hash, slots)
        while slots[slot] != EMPTY:
            slot = (slot + 1) & (size - 1)
        slots[slot] = number
    return slots


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
