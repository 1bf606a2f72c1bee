"""Compiled loops over the bytes of texts: split them into words, spell new words, and gather the ids of all.

A text is UTF-8. A table maps each byte to the letter of a word that it becomes, or to a class (`BREAK`, `ALONE`, ...).
Such rules cover the project's tokenizers for plain ASCII. A text with a byte of the class `HARD` is left to the
tokenizer itself. All loops run without Python's lock.

A word is looked up by its key of 64 bits. Up to nine letters are the key, seven bits each: equal keys are equal words.
The key of a longer word mixes further letters in, and has the highest bit set; different words may share it.
"""

import numpy as np

from nli_core.arrays import Bytes, Int32s, Ints, UInt64s
from nli_core.compiled import compiled

BREAK, ALONE, DROP, HARD = range(4)
"""A byte between words; one that is a word of its own; one that is dropped; one that the rules do not cover."""

FIRST_LETTER, LAST_LETTER = 33, 126
"""Letters of words are among these: the visible characters of ASCII."""

HARD_TEXT = -1
"""The number of words of a text that has a byte of the class `HARD`, or is very long."""

EMPTY = -1
"""The number in a slot of no word."""

NO_KEY = np.uint64(0)
"""The key of no letters."""

_SEVEN, _HALF = np.uint64(7), np.uint64(32)
_WHOLE_LETTERS = 9
_LONGER = np.uint64(1 << 63)
PRIME = np.uint64(1099511628211)  # of FNV-1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio (Knuth, volume 3, 6.4)
_TEXTS_PER_CALL = 256
_LONGEST_TEXT = 1 << 14  # bytes; a longer one is left to the tokenizer, to limit the room for it


@compiled
def split_and_lookup(
    data: Bytes, offsets: Ints, rules: Bytes, slots: Int32s, keys: UInt64s, pool: Bytes, ends: Ints, known: int
) -> tuple[Int32s, Int32s, tuple[Int32s, UInt64s, Bytes, Ints, int]]:
    """Split texts into words and look each word up, adding those that are new.

    `data` and `offsets` [texts + 1] are an Arrow string column's buffers. `rules` [256] has the letter or the class of
    each byte. `known` words are in arrays that have room for more: word i has the key `keys[i]`, and its letters end at
    `ends[i]` of the `pool`. `slots` is an open-addressing hash table of their numbers, whose size is a power of 2.
    Returns the numbers of all words of all texts, and how many each text has (`HARD_TEXT`: left out). Then come slots,
    keys, pool and ends with the new words, and how many words these hold.
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
        start = ends[known - 1] if known else 0
        if start + most > len(pool):
            pool = np.concatenate((pool, np.empty(len(pool) + most, np.uint8)))
        if known + most > len(ends):
            ends = np.concatenate((ends, np.empty(len(ends) + most, np.int64)))
            keys = np.concatenate((keys, np.empty(len(keys) + most, np.uint64)))
        if 2 * (known + most) > len(slots):
            slots = hash_table(keys[:known], known + most)
        found, known = _split_some(
            data, offsets, first, last, rules, slots, keys, pool, ends, known, words, found, counts
        )
    return words[:found], counts, (slots, keys, pool, ends, known)


@compiled
def _split_some(
    data: Bytes,
    offsets: Ints,
    first: int,
    last: int,
    rules: Bytes,
    slots: Int32s,
    keys: UInt64s,
    pool: Bytes,
    ends: Ints,
    known: int,
    words: Int32s,
    found: int,
    counts: Int32s,
) -> tuple[int, int]:
    """Split some texts, whose words are known to fit into the vocabulary's arrays.

    A word is written behind the known ones in the pool while it is read; if it turns out to be new, it stays there.
    """
    begin = ends[known - 1] if known else 0
    for text in range(first, last):
        first_of_text = found
        length = 0
        key = NO_KEY
        at, end = offsets[text], offsets[text + 1]
        if end - at > _LONGEST_TEXT:
            counts[text] = HARD_TEXT
            continue
        while at <= end:
            while at < end:
                letter = rules[data[at]]
                if letter < FIRST_LETTER:
                    break
                pool[begin + length] = letter
                length += 1
                key = longer_key(key, letter, length)
                at += 1
            kind = BREAK if at == end else np.int64(rules[data[at]])
            if kind == HARD:
                break
            if length == 0 or kind == DROP:
                if kind != ALONE:  # a byte that is passed by, or one break after another
                    at += 1
                    continue
                pool[begin] = data[at]
                length = 1
                key = longer_key(NO_KEY, data[at], 1)
                at += 1
            # The word ends here; a byte that is a word of its own is read again, as the next word.
            slot = slot_of(key, slots)
            number = np.int64(slots[slot])
            while number != EMPTY:
                if keys[number] == key:
                    if length <= _WHOLE_LETTERS:
                        break
                    start = ends[number - 1] if number else 0
                    if ends[number] - start == length and begins(pool[start:], pool[begin : begin + length]):
                        break
                slot = (slot + 1) & (len(slots) - 1)
                number = np.int64(slots[slot])
            if number == EMPTY:
                number = np.int64(known)
                begin += length
                ends[known] = begin
                keys[known] = key
                slots[slot] = known
                known += 1
            words[found] = number
            found += 1
            length = 0
            key = NO_KEY
        if at <= end:
            found = first_of_text
            counts[text] = HARD_TEXT
        else:
            counts[text] = found - first_of_text
    return found, known


@compiled
def longer_key(key: np.uint64, letter: int, length: int) -> np.uint64:
    """Return the key of a word of `length` letters: `letter` is its last one, `key` is that of the others."""
    if length <= _WHOLE_LETTERS:
        return (key << _SEVEN) | np.uint64(letter)
    return ((key * PRIME) ^ np.uint64(letter)) | _LONGER


@compiled
def keys_of(pool: Bytes, ends: Ints) -> UInt64s:
    """Return the keys of words whose letters end at `ends` of a pool; beyond ASCII they are no more than hashes."""
    keys = np.empty(len(ends), np.uint64)
    start = 0
    for number in range(len(keys)):
        keys[number] = NO_KEY
        for at in range(start, ends[number]):
            keys[number] = longer_key(keys[number], pool[at], at + 1 - start)
        start = ends[number]
    return keys


@compiled
def slot_of(key: np.uint64, slots: Int32s) -> np.int64:
    """Return where in a hash table to look first: the highest bits of a product, which depend on the whole key."""
    return np.int64((((key * _GOLDEN) >> _HALF) * np.uint64(len(slots))) >> _HALF)


@compiled
def hash_table(keys: UInt64s, room: int) -> Int32s:
    """Make a hash table of the numbers of words, whose keys these are. `room` words take half of it at most."""
    size = 1
    while size < 2 * room:
        size *= 2
    slots = np.full(size, EMPTY, np.int32)
    for number in range(len(keys)):
        slot = slot_of(keys[number], slots)
        while slots[slot] != EMPTY:
            slot = (slot + 1) & (size - 1)
        slots[slot] = number
    return slots


@compiled
def begins(text: Bytes, part: Bytes) -> bool:
    """Say whether a text, which is not shorter, begins with this part."""
    same = 0
    while same < len(part) and text[same] == part[same]:
        same += 1
    return same == len(part)


@compiled
def spell(
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
    """Spell words as `WordPieces.spell` does; what follows `starts` describes its pieces."""
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
