"""How a tokenizer splits plain ASCII text into words, as a table by byte; derived from its own description."""

import json
from typing import Any

import numpy as np
import tokenizers

from nli_core.arrays import Bytes
from nli_core.data.tokenize.kernels import ALONE, BREAK, DROP, FIRST_LETTER, HARD, LAST_LETTER
from nli_core.data.tokenize.word_level import learn_words

_ASCII_PUNCTUATION = (*range(33, 48), *range(58, 65), *range(91, 97), *range(123, 127))
_SPACES = (ord(" "), ord("\t"), ord("\n"), ord("\r"))


def ascii_rules(tokenizer: tokenizers.Tokenizer) -> Bytes | None:
    """Return the letter or the class of each byte [256], as in `kernels`; None for a kind of tokenizer unknown here.

    Control characters, and the bytes with which its special tokens begin, count as hard.
    """
    described = json.loads(tokenizer.to_str())
    normalizer, splitter = described["normalizer"], described["pre_tokenizer"]
    rules = np.full(256, HARD, np.uint8)
    letters = range(FIRST_LETTER, LAST_LETTER + 1)
    rules[letters] = letters
    rules[list(_SPACES)] = BREAK
    if normalizer is None or splitter is None:
        return None
    if normalizer["type"] == "BertNormalizer" and splitter["type"] == "BertPreTokenizer":
        rules[list(_ASCII_PUNCTUATION)] = ALONE
        lowers = normalizer["lowercase"]
    elif normalizer["type"] == "Lowercase" and splitter["type"] == "WhitespaceSplit":
        lowers = True
    elif _as_learned(normalizer, splitter):
        rules[list(_ASCII_PUNCTUATION)] = DROP
        lowers = True
    else:
        return None
    if lowers:
        rules[ord("A") : ord("Z") + 1] += ord("a") - ord("A")
    for token in described["added_tokens"]:
        contents = {token["content"]}
        if token["normalized"]:  # the package then looks for it in normalised text
            contents.add(tokenizer.normalizer.normalize_str(token["content"]))
        for first in (content[:1] for content in contents):
            if not first.strip():
                return None
            rules[[byte for letter in (first.lower(), first.upper()) for byte in letter.encode()]] = HARD
    upper, lower = slice(ord("A"), ord("Z") + 1), slice(ord("a"), ord("z") + 1)
    rules[upper] = np.where(lowers & (rules[lower] == HARD), HARD, rules[upper])
    return rules


def _as_learned(normalizer: dict[str, Any], splitter: dict[str, Any]) -> bool:
    described = json.loads(learn_words([], 2).to_str())
    return bool(normalizer == described["normalizer"] and splitter == described["pre_tokenizer"])
