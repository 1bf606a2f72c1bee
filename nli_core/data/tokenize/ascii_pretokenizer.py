"""How a tokenizer splits plain ASCII text into words, as tables by byte; derived from its own description."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers

from nli_core.arrays import Bytes
from nli_core.data.tokenize.kernels import ALONE, BREAK, DROP, HARD, WORD
from nli_core.data.tokenize.word_level import learn_words

_ASCII_PUNCTUATION = (*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127))
_SPACES = (ord(" "), ord("\t"), ord("\n"), ord("\r"))


@dataclass(frozen=True)
class AsciiRules:
    """For each byte its class (see `scanner`) and what it becomes."""

    classes: Bytes
    becomes: Bytes


def ascii_rules(tokenizer: tokenizers.Tokenizer) -> AsciiRules | None:
    """Derive the rules of a tokenizer; return None for a kind whose splitting is unknown here.

    Control characters, and the bytes with which its special tokens begin, count as hard.
    """
    described = json.loads(tokenizer.to_str())
    normalizer, splitter = described["normalizer"], described["pre_tokenizer"]
    classes = np.full(256, HARD, np.uint8)
    classes[range(32, 127)] = WORD
    classes[list(_SPACES)] = BREAK
    if normalizer is None or splitter is None:
        return None
    if normalizer["type"] == "BertNormalizer" and splitter["type"] == "BertPreTokenizer":
        classes[list(_ASCII_PUNCTUATION)] = ALONE
        lowers = normalizer["lowercase"]
    elif normalizer["type"] == "Lowercase" and splitter["type"] == "WhitespaceSplit":
        lowers = True
    elif _as_learned(normalizer, splitter):
        classes[list(_ASCII_PUNCTUATION)] = DROP
        lowers = True
    else:
        return None
    becomes = np.arange(256, dtype=np.uint8)
    if lowers:
        becomes[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    for token in described["added_tokens"]:
        contents = {token["content"]}
        if token["normalized"]:  # the package then looks for it in normalised text
            contents.add(tokenizer.normalizer.normalize_str(token["content"]))
        for first in (content[:1] for content in contents):
            if not first.strip():
                return None
            classes[[byte for letter in (first.lower(), first.upper()) for byte in letter.encode()]] = HARD
    return AsciiRules(classes, becomes)


def _as_learned(normalizer: dict[str, Any], splitter: dict[str, Any]) -> bool:
    described = json.loads(learn_words([], 2).to_str())
    return bool(normalizer == described["normalizer"] and splitter == described["pre_tokenizer"])
