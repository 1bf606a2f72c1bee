"""Tokenizers that would fail, fill the memory or emit ids that the encoder does not know."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Split

from nli_core.data.tokenize.trial import try_tokenizer
from nli_core.errors import UserError

pytestmark = pytest.mark.faults("inputs tried")

WORDS = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "a": 4}


def _save(folder: Path, words: dict[str, int], **parts: Any) -> Path:
    tokenizer = Tokenizer(WordPiece(words, unk_token="[UNK]"))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _edit(folder: Path, words: dict[str, object], **fields: object) -> None:
    path = folder / "tokenizer.json"
    described = json.loads(path.read_text())
    described["model"]["vocab"] |= words
    described["model"] |= fields
    path.write_text(json.dumps(described))


def test_a_whole_tokenizer_passes(tmp_path: Path) -> None:
    try_tokenizer(_save(tmp_path, WORDS), 5)
    try_tokenizer(tmp_path, None)


def test_an_id_that_the_encoder_does_not_know_is_refused(tmp_path: Path) -> None:
    _edit(_save(tmp_path, WORDS), {"b": 999_999})
    with pytest.raises(UserError, match="has ids up to 999999, the encoder knows 5 tokens"):
        try_tokenizer(tmp_path, 5)


@pytest.mark.parametrize("id_", [3_000_000_000, -1, 1.5, "7", None])
def test_an_absurd_id_is_refused_before_it_takes_memory(tmp_path: Path, id_: object) -> None:
    _edit(_save(tmp_path, WORDS), {"b": id_})
    with pytest.raises(UserError, match=r"tokenizer\.json: the token 'b' has the id .*; ids are from 0 to 4,194,303"):
        try_tokenizer(tmp_path, None)


@pytest.mark.parametrize("content", ["[]", "{}", "[" * 5000, "{", '{"model": {"vocab": 3}}', '{"model": []}'])
def test_what_is_no_tokenizer_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match=r"tokenizer\.json: is not a tokenizer"):
        try_tokenizer(tmp_path, None)


def test_a_pattern_that_backtracks_without_end_is_refused(tmp_path: Path) -> None:
    _save(tmp_path, WORDS, pre_tokenizer=Split(Regex("(a+)+$"), "isolated"))
    with pytest.raises(UserError, match=r"tokenizer cannot read 'aaa.*retry-limit"):
        try_tokenizer(tmp_path, None)


def test_a_tokenizer_without_its_unknown_token_is_refused(tmp_path: Path) -> None:
    _edit(_save(tmp_path, WORDS), {}, unk_token="[NONE]")
    with pytest.raises(UserError, match=r"cannot read .*Missing"):
        try_tokenizer(tmp_path, None)


def test_another_padding_than_the_encoders_is_refused(tokenizer_folder: Callable[[str], Path]) -> None:
    try_tokenizer(tokenizer_folder("roberta"), None, padding_id=1)
    with pytest.raises(UserError, match=r"padding has the id 0, the encoder's pad_token_id is 1; they do not fit"):
        try_tokenizer(tokenizer_folder("bert"), None, padding_id=1)


@pytest.mark.parametrize(
    ("vocabulary", "settings", "message"),
    [
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\né".encode("latin-1"), b"{}", r"vocab\.txt: is not a vocabulary"),
        ("[PAD]\n[UNK]\n[CLS]\n[SEP]\n".encode("utf-16"), b"{}", r"vocab\.txt: is not a vocabulary"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", b"{bad", r"tokenizer_config\.json: cannot be read as JSON"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", b'{"strip_accents": "yes"}', r"tokenizer_config\.json: .*true or false"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", b'{"do_lower_case": null}', r"tokenizer_config\.json: .*true or false"),
    ],
)
def test_damaged_files_of_a_vocabulary_are_named(
    tmp_path: Path, vocabulary: bytes, settings: bytes, message: str
) -> None:
    (tmp_path / "vocab.txt").write_bytes(vocabulary)
    (tmp_path / "tokenizer_config.json").write_bytes(settings)
    with pytest.raises(UserError, match=message):
        try_tokenizer(tmp_path, None)
