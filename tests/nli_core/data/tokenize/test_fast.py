"""The oracle of the fast tokenizer is the plain one, on hostile text too."""

import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.data.tokenize.kernels import NO_KEY, PRIME, longer_key, split_and_lookup
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.data.tokenize.word_level import BOOK_SPECIALS, book_tokenizer, learn_words

HOSTILE = st.text(
    st.one_of(
        st.sampled_from("abcXYZ 019.,'\"-!?[]()#@ \t\n\r"),
        st.sampled_from(
            "éÅßİıΣς世界日本\u0301\u200b\u200d\ufeff\ufffd\u3000\u2028🙂👩‍👩‍👧\x00\x01\x0b\x1f\x7f\x85\xa0"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=40,
)
BERT_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
LONG_WORDS = ["abcdefghi", "abcdefghij abcdefghik", "abcdefghijk", "abcd-efghij", "Abcdefghi.j", "bbcdefghij"]
TEXTS = st.lists(
    st.one_of(HOSTILE, st.sampled_from(["", " ", "a" * 150, "[SEP] a [MASK]", "it's 3,000.50", *LONG_WORDS])),
    max_size=8,
)


@pytest.fixture(scope="module", params=["wordpiece", "cased", "learned", "book"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_encoder: Path) -> Path:
    folder: Path = tmp_path_factory.mktemp(request.param)
    if request.param in ("wordpiece", "cased"):
        (folder / "vocab.txt").write_bytes((tiny_encoder / "vocab.txt").read_bytes())
        if request.param == "cased":
            (folder / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    else:
        words = ["a", "b", "it", "it's", "its", "'s", "3,000.50", "300050", "é", "世界", "-"]
        learned = learn_words([" ".join(words)], 50)
        built = book_tokenizer([*BOOK_SPECIALS, *words]) if request.param == "book" else learned
        built.save(str(folder / "tokenizer.json"))
    return folder


@given(texts=TEXTS)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_ids_are_those_of_the_plain_tokenizer(folder: Path, texts: list[str]) -> None:
    fast, plain = FastTokenizer(folder), Tokenizer(folder)
    column = pa.array(texts, pa.large_string())
    for _ in range(2):  # the second time from memory
        for found, expected in zip(fast.encode(column), plain.encode(column), strict=True):
            assert found.tolist() == expected.tolist()
    if plain.reads_parses:
        parses = pa.array([None if len(text) % 3 == 0 else text for text in texts], pa.large_string())
        for found, expected in zip(fast.encode(column, parses), plain.encode(column, parses), strict=True):
            assert found.tolist() == expected.tolist()


@given(
    pairs=st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=8),
    max_length=st.integers(8, 20),
    truncation=st.sampled_from(["longest_first", "transformers", "ratio", "hypothesis_first", "premise_first"]),
    fill=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_examples_are_those_of_the_plain_way(
    tiny_encoder: Path, pairs: list[tuple[str, str]], max_length: int, truncation: str, fill: bool
) -> None:
    config = PackConfig(max_length=max_length, truncation=truncation, fill=fill)  # type: ignore[arg-type]
    premises, hypotheses = (Texts.of(texts) for texts in zip(*pairs, strict=True))
    expected = encode_texts(Tokenizer(tiny_encoder), premises, hypotheses, config)
    found = encode_texts(FastTokenizer(tiny_encoder), premises, hypotheses, config)
    assert found.truncated_tokens == expected.truncated_tokens
    for name in ("input_ids", "lengths", "boundaries"):
        assert getattr(found.examples, name).tolist() == getattr(expected.examples, name).tolist()


def test_a_slice_of_a_column_is_read_as_a_slice(tiny_encoder: Path) -> None:
    column = pa.array(["a b", "é", "c d e", "f"], pa.large_string()).slice(1, 2)
    for found, expected in zip(
        FastTokenizer(tiny_encoder).encode(column), Tokenizer(tiny_encoder).encode(column), strict=True
    ):
        assert found.tolist() == expected.tolist()


def test_texts_of_a_file_and_of_python_share_what_is_compiled(tiny_encoder: Path) -> None:
    """So packing a word loads what a file of texts needs. NumPy may not write to a file's texts."""
    batch = pa.RecordBatch.from_pydict({"text": pa.array(["a b", "c"], pa.large_string())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    read = pa.ipc.open_stream(sink.getvalue()).read_next_batch()["text"]
    assert [column.buffers()[2].is_mutable for column in (batch["text"], read)] == [True, False]
    for column in (batch["text"], read):
        FastTokenizer(tiny_encoder).encode(column)
    assert len(split_and_lookup.signatures) == 1  # type: ignore[attr-defined]


def test_a_very_long_text_is_left_to_the_plain_tokenizer(tiny_encoder: Path) -> None:
    column = pa.array(["a b", "a b c " * 10_000, "c"], pa.large_string())
    fast, plain = FastTokenizer(tiny_encoder).encode(column), Tokenizer(tiny_encoder).encode(column)
    assert fast[1].tolist() == [2, 30_000, 1]
    assert fast[0].tolist() == plain[0].tolist()


def test_many_words_on_many_threads(tiny_encoder: Path) -> None:
    """The memory grows past its first size, while others read it."""
    random = np.random.default_rng(0)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    columns = [
        pa.array(
            [" ".join("".join(random.choice(letters, random.integers(4, 16))) for _ in range(20)) for _ in range(1000)],
            pa.large_string(),
        )
        for _ in range(4)
    ]
    plain, fast = Tokenizer(tiny_encoder), FastTokenizer(tiny_encoder)
    found: dict[int, list[list[int]]] = {}

    def encode(place: int) -> None:
        found[place] = [values.tolist() for values in fast.encode(columns[place % 4])]

    threads = [threading.Thread(target=encode, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = [[values.tolist() for values in plain.encode(column)] for column in columns]
    assert all(found[place] == expected[place % 4] for place in range(8))


def test_long_words_with_the_same_key_are_told_apart(tmp_path: Path) -> None:
    word, other = words_with_the_same_key()
    assert word != other
    assert key_of(word) == key_of(other) >= 2**63 > key_of(word[:9])
    book_tokenizer([*BOOK_SPECIALS, word, other]).save(str(tmp_path / "tokenizer.json"))
    parses = pa.array([f"{word} {other}", f"{other} {word} {word[:9]} {other[:9]}"], pa.large_string())
    fast, plain = (kind(tmp_path).encode(parses, parses)[0].tolist() for kind in (FastTokenizer, Tokenizer))
    assert fast == plain
    assert fast[0] == fast[3] != fast[1] == fast[2]


def words_with_the_same_key() -> tuple[str, str]:
    """Find two of ten letters: the products of their first nine differ only in what the last letters undo."""
    letters = np.array([*range(35, 48), *range(97, 123)], np.uint64)
    random = np.random.default_rng(0)
    inverse = np.uint64(pow(int(PRIME), -1, 2**64))
    nines = random.choice(letters, (100_000, 9))
    shifts = np.arange(56, -7, -7, dtype=np.uint64)
    products = (nines << shifts).sum(axis=1, dtype=np.uint64) * PRIME
    for change in (ord("a") ^ last for last in range(ord("b"), ord("z"))):
        others = (products ^ np.uint64(change)) * inverse
        spelled = (others[:, None] >> shifts) & np.uint64(127)
        fits = np.isin(spelled, letters).all(axis=1) & (others < 2**63) & (products < 2**63)  # the bit is not theirs
        for row in np.flatnonzero(fits)[:1]:
            return (
                bytes([*nines[row].tolist(), ord("a")]).decode(),
                bytes([*spelled[row].tolist(), ord("a") ^ change]).decode(),
            )
    raise AssertionError("no two words have the same key")


def key_of(word: str) -> int:
    key = NO_KEY
    for length, letter in enumerate(word.encode(), start=1):
        key = np.uint64(longer_key(key, letter, length))
    return int(key)


@pytest.mark.parametrize(
    "added", ["École", "über", " c", "\x00ab", "\x01", tokenizers.AddedToken("\u0130", normalized=False)], ids=repr
)
def test_tokens_that_were_added_are_found_as_the_package_finds_them(
    tmp_path: Path, added: str | tokenizers.AddedToken
) -> None:
    """The package looks for them in normalised text, where they may begin with another byte."""
    pieces = [*BERT_SPECIALS, "e", "##cole", "u", "##ber", "the", "9", "c", "##1", "##a", "a", "b", "##b"]
    tokenizer = tokenizers.Tokenizer(WordPiece({piece: id_ for id_, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = BertNormalizer(lowercase=True), BertPreTokenizer()
    tokenizer.add_tokens([added])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    texts = pa.array(["the ecole", "UBER", "École", "9\tc1a", "9 c1", "\x00ab ab", "a", "I \u0130"], pa.large_string())
    fast, plain = FastTokenizer(tmp_path), Tokenizer(tmp_path)
    for found, expected in zip(fast.encode(texts), plain.encode(texts), strict=True):
        assert found.tolist() == expected.tolist()
