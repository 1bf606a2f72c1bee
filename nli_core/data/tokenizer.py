"""The encoder's own WordPiece tokenizer, read from its folder."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tokenizers
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from nli_core.data.truncation import IntArray
from nli_core.errors import UserError

_SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Tokenizer:
    """Text to ids, without special tokens, which packing adds."""

    def __init__(self, folder: Path) -> None:
        """Load from a folder in the Hugging Face layout: `tokenizer.json`, or else `vocab.txt`.

        Raises:
            UserError: neither file is there, or the vocabulary lacks a special token.
        """
        self._tokenizer = _load(folder)
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self.vocabulary_size = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.cls_id = self._special("[CLS]", folder)
        self.sep_id = self._special("[SEP]", folder)
        self.pad_id = self._special("[PAD]", folder)

    def encode(self, texts: Sequence[str]) -> tuple[IntArray, IntArray]:
        """All ids of all texts, one after the other, and how many belong to each text."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        rows = [encoding.ids for encoding in encodings]
        lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
        flat = np.fromiter((id_ for row in rows for id_ in row), dtype=np.int64, count=int(lengths.sum()))
        return flat, lengths

    def _special(self, token: str, folder: Path) -> int:
        id_ = self._tokenizer.token_to_id(token)
        if id_ is None:
            raise UserError(f"{folder}: the tokenizer has no {token}; only BERT's WordPiece tokenizers are supported")
        return int(id_)


def _load(folder: Path) -> tokenizers.Tokenizer:
    whole, vocabulary = folder / "tokenizer.json", folder / "vocab.txt"
    if whole.exists():
        try:
            return tokenizers.Tokenizer.from_file(str(whole))
        except Exception as error:  # tokenizers raises bare Exception
            raise UserError(f"{whole}: is not a tokenizer ({error})") from None
    if not vocabulary.exists():
        raise UserError(f"{folder}: has neither tokenizer.json nor vocab.txt")
    settings_file = folder / "tokenizer_config.json"
    settings = json.loads(settings_file.read_text(encoding="utf-8")) if settings_file.exists() else {}
    built = tokenizers.Tokenizer(WordPiece.from_file(str(vocabulary), unk_token="[UNK]"))
    built.add_special_tokens([token for token in _SPECIAL_TOKENS if built.token_to_id(token) is not None])
    built.normalizer = BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    built.pre_tokenizer = BertPreTokenizer()
    return built
