import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from transformers import BertTokenizerFast

from nli_core.config import PackConfig
from nli_core.data.examples.encode import EncodedTexts, Texts, encode_texts
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.errors import UserError


def _rows(encoded: EncodedTexts) -> list[list[int]]:
    return [row.tolist() for row in np.split(encoded.examples.input_ids, np.cumsum(encoded.examples.lengths)[:-1])]


def _snli(shared_data: Path, split: str) -> tuple[list[str], list[str]]:
    with zipfile.ZipFile(shared_data / "snli_1.0_subset.zip") as archive:
        text = archive.read(f"snli_1.0/snli_1.0_{split}.txt").decode()
    rows = list(csv.DictReader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    return [row["sentence1"] for row in rows], [row["sentence2"] for row in rows]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_ids_equal_the_fast_tokenizers_on_all_of_snli(shared_data: Path, split: str) -> None:
    folder = shared_data / "bert-base-uncased"
    premises, hypotheses = _snli(shared_data, split)
    theirs = BertTokenizerFast(vocab=str(folder / "vocab.txt"))(premises, hypotheses, max_length=512, truncation=True)
    ours = encode_texts(Tokenizer(folder), Texts.of(premises), Texts.of(hypotheses), PackConfig(max_length=512))
    assert _rows(ours) == theirs["input_ids"]
    expected_boundaries = [types.index(1) for types in theirs["token_type_ids"]]
    assert ours.examples.boundaries.tolist() == expected_boundaries
    assert ours.truncated_examples == 0


def test_single_texts_equal_the_fast_tokenizers_with_truncation(shared_data: Path) -> None:
    folder = shared_data / "bert-base-uncased"
    texts, _ = _snli(shared_data, "dev")
    theirs = BertTokenizerFast(vocab=str(folder / "vocab.txt"))(texts[:500], max_length=12, truncation=True)
    ours = encode_texts(Tokenizer(folder), Texts.of(texts[:500]), None, PackConfig(max_length=12))
    assert _rows(ours) == theirs["input_ids"]
    assert (ours.examples.boundaries == ours.examples.lengths).all()
    assert ours.truncated_examples == sum(
        len(row) == 12
        for row in _rows(encode_texts(Tokenizer(folder), Texts.of(texts[:500]), None, PackConfig(max_length=12)))
    ) - sum(
        len(row) == 12
        for row in _rows(encode_texts(Tokenizer(folder), Texts.of(texts[:500]), None, PackConfig(max_length=512)))
    )


def test_truncation_pops_the_longer_or_the_hypothesis(tiny_encoder: Path) -> None:
    tokenizer = Tokenizer(tiny_encoder)
    encoded = encode_texts(
        tokenizer, Texts.of(["a b c d e f", "a b"]), Texts.of(["g h i j k l", "g h i j k l"]), PackConfig(max_length=10)
    )
    ids = {letter: tokenizer.encode(pa.array([letter], pa.large_string()))[0].item() for letter in "abcdefghijkl"}
    (cls,), (sep,) = tokenizer.templates.single.before, tokenizer.templates.single.after
    assert _rows(encoded) == [
        [cls, *(ids[letter] for letter in "abcd"), sep, *(ids[letter] for letter in "ghi"), sep],
        [cls, *(ids[letter] for letter in "ab"), sep, *(ids[letter] for letter in "ghijk"), sep],
    ]
    assert encoded.truncated_examples == 2
    assert encoded.truncated_tokens == 5 + 1


def test_tokenizer_json_and_vocab_txt_give_the_same_ids(tmp_path: Path, tiny_encoder: Path) -> None:
    BertTokenizerFast(vocab=str(tiny_encoder / "vocab.txt")).save_pretrained(tmp_path)
    text = pa.array(["Two Children in red shirts, ünder a tree."], pa.large_string())
    assert (tmp_path / "tokenizer.json").exists()
    assert Tokenizer(tmp_path).encode(text)[0].tolist() == Tokenizer(tiny_encoder).encode(text)[0].tolist()


def test_a_vocabulary_without_special_tokens_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\na\nb\n")
    with pytest.raises(UserError, match=r"no \[CLS\]"):
        Tokenizer(tmp_path)
