"""An encoder's own tokenizer, read from its folder: of whatever kind the package tokenizers knows."""

import json
import reprlib
import shutil
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import tokenizers
from tokenizers.models import WordLevel, WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from nli_core.arrays import IntArray
from nli_core.data.tokenize.template import read_templates
from nli_core.data.tokenize.word_level import BOOK_SPECIALS, learn_words, parsed_words
from nli_core.errors import UserError, reason_of
from nli_core.filenames import TOKENIZER_FILES, WORDS_TO_LEARN
from nli_core.hashing import file_sha256

_BERT_SPECIALS = ("[CLS]", "[SEP]", "[PAD]", "[UNK]")
_PADDINGS = ("[PAD]", "<pad>")
_SPECIAL_TOKENS = (*_BERT_SPECIALS, "[MASK]")
_MOST_TOKENS = 1 << 22  # the largest vocabularies in use have a quarter of a million
_WHOLE, _VOCABULARY, _SETTINGS = "tokenizer.json", "vocab.txt", "tokenizer_config.json"


class Tokenizer:
    """Text to ids, without special tokens, which packing adds as `templates` say.

    Ids are below `vocabulary_size`. `reads_parses` says that words of a parse are to be preferred to raw text.
    """

    def __init__(self, folder: Path) -> None:
        """Load from an encoder's folder: `tokenizer.json`, or else `vocab.txt`.

        Raises:
            UserError: neither file is there, an id is absurd, or the vocabulary lacks a special token.
        """
        self._tokenizer = _load(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary_size = 1 + max(self._tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
        self.reads_parses = self._tokenizer.token_to_id(BOOK_SPECIALS[0]) is not None
        names = BOOK_SPECIALS if self.reads_parses else _BERT_SPECIALS
        cls, sep, pad, unknown = (self._tokenizer.token_to_id(name) for name in names)
        self.templates = read_templates(self._tokenizer, (cls, sep))
        if not self.templates.single and not isinstance(self._tokenizer.model, WordLevel):
            raise UserError(
                f"{folder}: the tokenizer puts no special tokens around a text, and has no {names[0]}; "
                "use another encoder"
            )
        self.pad_id = _padding_id(folder, self._tokenizer) if pad is None else pad
        self.unknown_id = unknown or 0

    def encode(
        self, texts: pa.LargeStringArray, parses: pa.LargeStringArray | None = None
    ) -> tuple[IntArray, IntArray]:
        """Return all ids of all texts, flat, and how many belong to each text.

        `parses`, for a tokenizer that reads them, hold words between spaces; a text whose parse is empty is split here.
        """
        if parses is None:
            rows = encode_batch(self._tokenizer, texts.to_pylist())
        else:
            rows = encode_batch(self._parsed_words, self.words(texts, parses).to_pylist())
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter((id_ for row in rows for id_ in row), dtype=np.int64, count=int(lengths.sum()))
        return flat, lengths

    def words(self, texts: pa.LargeStringArray, parses: pa.LargeStringArray) -> pa.LargeStringArray:
        """Return the parses; where one is empty, the words that the tokenizer itself finds in the text."""
        if parses.null_count == 0 and compute.min(compute.binary_length(parses)).as_py() != 0:
            return parses
        pairs = zip(texts.to_pylist(), parses.to_pylist(), strict=True)
        return pa.array([parse or self._split(text) for text, parse in pairs], pa.large_string())

    def tokens(self, ids: Iterable[int]) -> list[str]:
        """Return the tokens of these ids."""
        return [self._tokenizer.id_to_token(int(id_)) or "" for id_ in ids]

    @cached_property
    def _parsed_words(self) -> tokenizers.Tokenizer:
        return parsed_words(self._tokenizer)

    def _split(self, text: str) -> str:
        normalized = self._tokenizer.normalizer.normalize_str(text)
        return " ".join(word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(normalized))


def encode_batch(tokenizer: tokenizers.Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return the ids of each text.

    Raises:
        UserError: the tokenizer fails; names the text that it fails at.
    """
    try:
        return [encoding.ids for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    except BaseException as error:
        # The package raises bare Exception, and a fault in its Rust code is a PanicException, which is none.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = reason_of(error)
    if len(texts) > 1:
        for text in texts:
            encode_batch(tokenizer, [text])
    raise UserError(f"the encoder's tokenizer cannot read {reprlib.repr(texts[0])} ({reason}); use another encoder")


def words_to_learn(encoder: Path) -> int | None:
    """Return how many words to learn for an encoder; None if it has a tokenizer."""
    wanted = encoder / WORDS_TO_LEARN
    return int(json.loads(wanted.read_text(encoding="utf-8"))["vocabulary_size"]) if wanted.exists() else None


def copy_tokenizer(encoder: Path, out: Path) -> None:
    """Leave the files of an encoder's tokenizer in the folder `out`."""
    for name in TOKENIZER_FILES:
        if (encoder / name).exists():
            shutil.copyfile(encoder / name, out / name)


def learn_tokenizer(texts: Iterable[str], vocabulary_size: int, out: Path) -> None:
    """Leave a tokenizer over the most frequent words of the texts in the folder `out`."""
    learn_words(texts, vocabulary_size).save(str(out / _WHOLE))


def tokenizer_sha256(folder: Path) -> str:
    """Digest of the file that decides how the tokenizer splits text."""
    return file_sha256(next(folder / name for name in TOKENIZER_FILES if (folder / name).exists()))


def _refuse_absurd_ids(path: Path) -> None:
    """Look at the ids before the package does: it takes memory for every number up to the largest."""
    try:
        described = json.loads(path.read_text(encoding="utf-8"))
        added = {token["content"]: token["id"] for token in described.get("added_tokens") or ()}
        known = described["model"].get("vocab", {})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: is not a tokenizer ({reason_of(error)}); fetch it again") from None
    for token, id_ in (*added.items(), *(known.items() if isinstance(known, dict) else ())):
        if not isinstance(id_, int) or not 0 <= id_ < _MOST_TOKENS:
            raise UserError(f"{path}: the token {token!r} has the id {id_!r}; ids are from 0 to {_MOST_TOKENS - 1:,}")


def _padding_id(folder: Path, tokenizer: tokenizers.Tokenizer) -> int:
    """Return the id of the padding, by the name that its settings give it, or by one that is usual."""
    named = _settings(folder).get("pad_token")
    name = named.get("content") if isinstance(named, dict) else named
    for each in (name, *_PADDINGS):
        if each is not None and (found := tokenizer.token_to_id(str(each))) is not None:
            return int(found)
    raise UserError(f"{folder}: the tokenizer has no token for padding; name its pad_token in {_SETTINGS}")


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / _SETTINGS
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({reason_of(error)}); fetch it again") from None
    return settings if isinstance(settings, dict) else {}


def _load(folder: Path) -> tokenizers.Tokenizer:
    whole, vocabulary = folder / _WHOLE, folder / _VOCABULARY
    if whole.exists():
        _refuse_absurd_ids(whole)
        try:
            return tokenizers.Tokenizer.from_file(str(whole))
        except Exception as error:  # tokenizers raises bare Exception
            raise UserError(f"{whole}: is not a tokenizer ({error}); fetch it again") from None
    if not vocabulary.exists():
        raise UserError(f"{folder}: has neither {_WHOLE} nor {_VOCABULARY}")
    settings = _settings(folder)
    try:
        model = WordPiece.from_file(str(vocabulary), unk_token="[UNK]")
    except Exception as error:  # as above
        raise UserError(f"{vocabulary}: is not a vocabulary ({reason_of(error)}); fetch it again") from None
    built = tokenizers.Tokenizer(model)
    built.add_special_tokens([token for token in _SPECIAL_TOKENS if built.token_to_id(token) is not None])
    try:
        built.normalizer = BertNormalizer(
            lowercase=settings.get("do_lower_case", True),
            strip_accents=settings.get("strip_accents"),
            handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        )
    except TypeError as error:
        raise UserError(f"{folder / _SETTINGS}: {reason_of(error)}; write true or false") from None
    built.pre_tokenizer = BertPreTokenizer()
    return built
