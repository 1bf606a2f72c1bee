"""The oracle of the compiled WordPiece is that of the package tokenizers, over any vocabulary."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel, WordPiece

from nli_core.data.tokenize.word_pieces import WordPieces

_PARTS = st.text("ab#", min_size=1, max_size=12)


@given(
    parts=st.sets(_PARTS, max_size=12),
    prefix=st.sampled_from(["##", "", "a"]),
    longest=st.integers(1, 40),
    words=st.lists(st.text("abc#", min_size=1, max_size=14), max_size=10),
    data=st.data(),
)
@settings(max_examples=300)
def test_ids_are_those_of_the_package(
    parts: set[str], prefix: str, longest: int, words: list[str], data: st.DataObject
) -> None:
    pieces = sorted({each for part in parts for each in (part, prefix + part)} | {"é", f"{prefix}é", "?"})
    joined = st.lists(st.sampled_from(sorted(parts) or ["c"]), min_size=1, max_size=4).map("".join)
    words += data.draw(st.lists(joined, max_size=10))
    numbers = data.draw(st.permutations(range(len(pieces))))
    vocabulary = dict(zip(pieces, numbers, strict=True))
    model = WordPiece(vocabulary, unk_token="?", max_input_chars_per_word=longest, continuing_subword_prefix=prefix)
    tokenizer = Tokenizer(model)
    found = WordPieces.of(tokenizer)
    assert found
    before = b"elsewhere"  # words need not begin where their array does
    pool = np.frombuffer(before + "".join(words).encode(), np.uint8)
    starts = len(before) + np.cumsum([0, *map(len, words)], dtype=np.int64)
    ids, lengths = found.spell(pool, starts)
    expected = [tokenizer.encode(word, add_special_tokens=False).ids for word in words]
    assert lengths.tolist() == [len(each) for each in expected]
    assert ids.tolist() == [id_ for each in expected for id_ in each]


def test_other_kinds_of_tokenizers_have_none() -> None:
    """So that their own code spells, or says why it cannot."""
    assert WordPieces.of(Tokenizer(WordLevel({"a": 0, "?": 1}, unk_token="?"))) is None
    assert WordPieces.of(Tokenizer(WordPiece({"a": 0}, unk_token="?"))) is None
