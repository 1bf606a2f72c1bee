"""Try an encoder's tokenizer before any corpus is read."""

from pathlib import Path

from nli_core.data.arrow import strings
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.errors import UserError

# Words, a word that no vocabulary has, letters of few fonts, and a run that makes a careless pattern backtrack.
_TEXTS = ["A girl is here.", "qxzzyq", "\u2603 \u4e2d \U00013000", "a" * 64 + "!"]


def try_tokenizer(folder: Path, rows: int | None, padding_id: int | None = None) -> None:
    """Encode a few texts, and compare the ids with the rows of the encoder's embedding, if those are known.

    `padding_id` is that of the encoder, if its positions depend on it.

    Raises:
        UserError: the tokenizer cannot be read, fails at a text, or has ids that the encoder does not know; or its
            padding is another token than the encoder's.
    """
    tokenizer = Tokenizer(folder)
    if padding_id is not None and tokenizer.pad_id != padding_id:
        raise UserError(
            f"{folder}: the tokenizer's padding has the id {tokenizer.pad_id}, the encoder's pad_token_id is "
            f"{padding_id}; they do not fit"
        )
    if rows is not None:
        check_vocabulary(tokenizer, rows, folder)
    tokenizer.encode(strings(_TEXTS))


def check_vocabulary(tokenizer: Tokenizer, rows: int, folder: Path) -> None:
    """Look whether every id of a tokenizer has a row in an encoder's embedding.

    Raises:
        UserError: there are ids beyond it.
    """
    if tokenizer.vocabulary_size > rows:
        raise UserError(
            f"{folder}: the tokenizer has ids up to {tokenizer.vocabulary_size - 1}, the encoder knows {rows} tokens; "
            "they do not fit"
        )
