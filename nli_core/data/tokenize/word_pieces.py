"""WordPiece as a compiled loop: the longest match comes first, from the left (Song et al., 2021).

The package tokenizers takes 8 µs a word for this, most of it around the matching. It is the oracle in tests.
"""

from dataclasses import dataclass

import numpy as np
import tokenizers
from tokenizers.models import WordPiece

from nli_core.arrays import Bytes, Int32s, Ints
from nli_core.data.tokenize.kernels import hash_table, keys_of, spell


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
            slots=hash_table(keys_of(pool, ends), 2 * len(pieces)),
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
        return spell(words, starts, *pieces, self.prefix, self.unknown_id, self.longest_word)


def _bytes(text: bytes) -> Bytes:
    return np.frombuffer(text, np.uint8)
