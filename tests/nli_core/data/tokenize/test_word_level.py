import json
from pathlib import Path

import polars as pl
import pytest

from nli_core.config import PackConfig
from nli_core.data.examples.encode import Texts, encode_texts
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.data.tokenize.word_level import BOOK_SPECIALS, book_tokenizer, learn_words


def _words(text: str) -> list[str]:
    tokenizer = book_tokenizer(["<unk>"])
    normalized = tokenizer.normalizer.normalize_str(text)
    return [word for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normalized)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A man's dog, which isn't small, ran.", "a man 's dog , which is n't small , ran ."),
        ("They can't; we cannot!", "they ca n't ; we can not !"),
        ('He said "hello" (twice).', "he said `` hello '' -lrb- twice -rrb- ."),
        ("Mr. Smith paid $1,000.50 at 5:30 p.m. today.", "mr. smith paid $ 1,000.50 at 5:30 p.m. today ."),
        ("The dogs' owners -- both -- wait...", "the dogs ' owners -- both -- wait ..."),
        ("It's gonna rain, I'll wait", "it 's gon na rain , i 'll wait"),
    ],
)
def test_raw_text_is_split_as_the_penn_treebank_does(text: str, words: str) -> None:
    assert _words(text) == words.split()


def test_raw_text_of_real_pairs_gives_the_words_of_their_parses(shared_data: Path) -> None:
    path = shared_data / "snli_release_fixtures" / "snli_1.0_dev.partA.txt"
    rows = pl.read_csv(path, separator="\t", quote_char=None, infer_schema=False)
    same = [
        _words(text) == parse.replace("(", "").replace(")", "").lower().split()
        for number in (1, 2)
        for text, parse in rows.select(f"sentence{number}", f"sentence{number}_binary_parse").iter_rows()
        if parse
    ]
    assert len(same) > 2000
    assert sum(same) / len(same) > 0.999


@pytest.fixture
def book(tmp_path: Path) -> Tokenizer:
    vocabulary = [*BOOK_SPECIALS, "a", "b-c", "do", "n't", "b", "c", "-"]
    book_tokenizer(vocabulary).save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path)


def test_a_parse_is_taken_word_by_word_and_a_missing_one_is_made(book: Tokenizer) -> None:
    texts = Texts.of(["ignored", "A don't", "a"], ["A b-c DON'T", None, ""])
    ids, lengths = book.encode(texts.raw, texts.parses)
    assert lengths.tolist() == [3, 3, 1]
    unknown = book.unknown_id
    assert ids.tolist() == [4, 5, unknown, 4, 6, 7, 4]


def test_the_books_tokens_get_the_books_special_tokens(book: Tokenizer) -> None:
    encoded = encode_texts(book, Texts.of(["a"]), Texts.of(["b c"]), PackConfig(max_length=8))
    assert encoded.examples.input_ids.tolist() == [0, 4, 1, 8, 9, 1]
    assert (encoded.examples.boundaries[0], encoded.examples.pad_id) == (3, 2)


def test_words_are_learned_most_frequent_first() -> None:
    texts = ["The cat's hat! the-cat", "THE dog; cat? zebra Apple", "the dog"]
    vocabulary = learn_words(texts, 6).get_vocab()
    assert sorted(vocabulary, key=lambda word: vocabulary[word]) == ["[PAD]", "[UNK]", "the", "dog", "apple", "cat"]


@pytest.fixture
def learned(tmp_path: Path) -> Tokenizer:
    learn_words(["one two two three three three"], 5).save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path)


def test_an_example_of_learned_words_is_its_text_alone(learned: Tokenizer) -> None:
    encoded = encode_texts(
        learned, Texts.of(["Two, three: one!", "...", "three " * 20]), None, PackConfig(max_length=8)
    )
    assert encoded.examples.lengths.tolist() == [3, 1, 8]
    assert encoded.examples.input_ids.tolist() == [3, 2, 4, 1, *[2] * 8]
    assert encoded.truncated_tokens == 12
    assert (encoded.examples.boundaries == encoded.examples.lengths).all()


def test_filling_makes_padding_a_part_of_the_text(learned: Tokenizer) -> None:
    encoded = encode_texts(learned, Texts.of(["two", "three " * 20]), None, PackConfig(max_length=8, fill=True))
    assert encoded.examples.lengths.tolist() == [8, 8]
    assert encoded.examples.input_ids.tolist() == [3, *[0] * 7, *[2] * 8]


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("I love transformers", [101, 1045, 2293, 19081, 102]),
        (
            "Tensorflow is a great framework for NLP",
            [101, 23435, 12314, 2003, 1037, 2307, 7705, 2005, 17953, 2361, 102],
        ),
        ("Hello, there", [101, 7592, 1010, 2045, 102]),
    ],
)
def test_ids_of_bert_are_those_of_the_lesson(shared_data: Path, text: str, ids: list[int]) -> None:
    encoded = encode_texts(Tokenizer(shared_data / "bert-base-uncased"), Texts.of([text]), None, PackConfig())
    batch = encoded.examples.batch(encoded.examples.lengths * 0)
    assert batch.input_ids.tolist() == [ids]
    assert batch.token_type_ids.tolist() == [[0] * len(ids)]
    assert batch.lengths.tolist() == [len(ids)]


def test_a_learned_tokenizer_travels_as_one_file(tmp_path: Path, learned: Tokenizer) -> None:
    described = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    assert described["model"]["type"] == "WordLevel"
    assert learned.tokens([2, 1, 0]) == ["three", "[UNK]", "[PAD]"]
