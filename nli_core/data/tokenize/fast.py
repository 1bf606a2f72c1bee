"""A tokenizer for whole corpora: it tokenizes each word once, and copies the word's ids wherever the word occurs.

A word's ids do not depend on its neighbours. So the ids equal those of `Tokenizer`, which is the oracle in tests. Texts
that are not plain ASCII go through `Tokenizer` as a whole.
"""

import threading
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import tokenizers

from nli_core.arrays import Bytes, Int32s, IntArray, Ints, UInt64s
from nli_core.data.arrow import to_arrow
from nli_core.data.tokenize.ascii_pretokenizer import ascii_rules
from nli_core.data.tokenize.kernels import EMPTY, HARD_TEXT, gather_ids, split_and_lookup
from nli_core.data.tokenize.tokenizer import Tokenizer, encode_batch
from nli_core.data.tokenize.word_pieces import WordPieces

Array = TypeVar("Array", bound=np.ndarray[Any, Any])

_FIRST_SLOTS, _FIRST_WORDS = 1 << 16, 1 << 12
_MOST_WORDS = 1 << 18  # more are not kept from one call to the next


class _Words(NamedTuple):
    """Words and their keys, as `split_and_lookup` keeps them."""

    slots: Int32s
    keys: UInt64s
    pool: Bytes
    ends: Ints
    size: int


@dataclass(frozen=True)
class _Vocabulary:
    """The words so far, and their ids."""

    words: _Words
    ids: Int32s
    id_starts: Ints

    @classmethod
    def empty(cls) -> "_Vocabulary":
        slots, keys = np.full(_FIRST_SLOTS, EMPTY, np.int32), np.empty(_FIRST_WORDS, np.uint64)
        pool, ends = np.empty(1 << 16, np.uint8), np.empty(_FIRST_WORDS, np.int64)
        return cls(_Words(slots, keys, pool, ends, 0), np.zeros(0, np.int32), np.zeros(1, np.int64))


class WordMemory:
    """A tokenizer, its rules for splitting ASCII, and the words so far. Threads may share it."""

    def __init__(self, tokenizer: tokenizers.Tokenizer, rules: Bytes) -> None:
        self._tokenizer = tokenizer
        self._rules = rules
        self._pieces = WordPieces.of(tokenizer)
        self._vocabulary = _Vocabulary.empty()
        self._lock = threading.Lock()

    def encode(self, texts: pa.LargeStringArray) -> tuple[IntArray, IntArray]:
        """Encode as `Tokenizer.encode` does."""
        known = self._vocabulary
        offsets, data = _buffers(texts)
        words, counts, grown = self._look_up(data, offsets, known.words)
        vocabulary = self._learn(known, grown)
        hard = np.flatnonzero(counts == HARD_TEXT)
        if len(hard):
            whole = _flat(self._ids(texts.take(to_arrow(hard)).to_pylist()))
            vocabulary_ids, id_starts = _append(vocabulary, *whole)
            counts[hard] = 0
            insert_at = np.cumsum(counts, dtype=np.int64)[hard]
            words = np.insert(words, insert_at, vocabulary.words.size + np.arange(len(hard)))
            counts[hard] = 1
            return gather_ids(words, counts, vocabulary_ids, id_starts)
        return gather_ids(words, counts, vocabulary.ids, vocabulary.id_starts)

    def _look_up(self, data: Bytes, offsets: Ints, words: _Words) -> tuple[Int32s, Int32s, _Words]:
        """Look the words of texts up; new ones are added to a copy, since other threads read the words."""
        own = words.slots.copy(), words.keys.copy(), words.pool.copy(), words.ends.copy()
        numbers, counts, grown = split_and_lookup(_read_only(data), _read_only(offsets), self._rules, *own, words.size)
        return numbers, counts, _Words(*grown)

    def _learn(self, before: _Vocabulary, words: _Words) -> _Vocabulary:
        """Add the ids of new words to a vocabulary. What other threads have spelled meanwhile is not spelled again."""
        if words.size == before.words.size:
            return before
        with self._lock:
            shared = self._vocabulary
            texts = _bounds(words, before.words.size)  # each word is a text of its own
            numbers, counts, grown = self._look_up(words.pool, texts, shared.words)
            assert len(numbers) == len(counts)
            spelled = self._spelled(shared, grown)
            if spelled.words.size <= _MOST_WORDS:
                self._vocabulary = spelled
        ids, lengths = gather_ids(numbers, counts, spelled.ids, spelled.id_starts)
        return _Vocabulary(words, *_append(before, ids, lengths))

    def _spelled(self, before: _Vocabulary, words: _Words) -> _Vocabulary:
        """Find the ids of the words that a vocabulary did not have before."""
        starts = _bounds(words, before.words.size)
        if self._pieces:
            new = self._pieces.spell(words.pool, starts)
        else:
            new = _flat(self._ids([words.pool[start:end].tobytes().decode() for start, end in pairwise(starts)]))
        return _Vocabulary(words, *_append(before, *new))

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return encode_batch(self._tokenizer, texts)


class FastTokenizer(Tokenizer):
    """A `Tokenizer` that remembers words. Its ids are the same."""

    def encode(
        self, texts: pa.LargeStringArray, parses: pa.LargeStringArray | None = None
    ) -> tuple[IntArray, IntArray]:
        """Encode as `Tokenizer.encode` does."""
        if parses is not None:
            return self._parses.encode(self.words(texts, parses))
        return self._texts.encode(texts) if self._texts else super().encode(texts)

    @cached_property
    def _texts(self) -> WordMemory | None:
        rules = ascii_rules(self._tokenizer)
        return None if rules is None else WordMemory(self._tokenizer, rules)

    @cached_property
    def _parses(self) -> WordMemory:
        rules = ascii_rules(self._parsed_words)
        assert rules is not None
        return WordMemory(self._parsed_words, rules)


@lru_cache(maxsize=2)
def shared_tokenizer(folder: Path) -> FastTokenizer:
    """Load the tokenizer in a folder once for all threads of the process, which share the words that they learn."""
    return FastTokenizer(folder)


def _read_only(array: Array) -> Array:
    """Return a view that cannot be written to: numba compiles a loop for these, and once more for others."""
    view = array.view()
    view.flags.writeable = False
    return view


def _bounds(words: _Words, first: int) -> Ints:
    """Return where the letters of each word from the `first` on begin, and where the last of them ends."""
    return np.concatenate([words.ends[first - 1 : first] if first else [0], words.ends[first : words.size]])


def _flat(rows: list[list[int]]) -> tuple[Int32s, Ints]:
    """Return the ids of all rows, one after the other, and how many each row has."""
    lengths = np.fromiter(map(len, rows), np.int64, count=len(rows))
    return np.fromiter((id_ for row in rows for id_ in row), np.int32, count=int(lengths.sum())), lengths


def _append(vocabulary: _Vocabulary, ids: Int32s, lengths: Ints) -> tuple[Int32s, Ints]:
    """Append the ids of further words, so many each, to the vocabulary's."""
    ends = vocabulary.id_starts[-1] + np.cumsum(lengths)
    return np.concatenate([vocabulary.ids, ids]), np.concatenate([vocabulary.id_starts, ends])


def _buffers(texts: pa.LargeStringArray) -> tuple[Ints, Bytes]:
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return ends, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
