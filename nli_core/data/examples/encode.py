"""From texts to ragged inputs, with the special tokens of the tokenizer's own template around them.

BERT's are `[CLS] premise [SEP] hypothesis [SEP]`, or `[CLS] text [SEP]`. Where a tokenizer adds no such tokens, an
example is its text alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from nli_core.config import PackConfig
from nli_core.data.examples.fit import fit_texts
from nli_core.data.examples.join import Fill, Join, Part, join_parts
from nli_core.data.examples.ragged import RaggedExamples
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.errors import UserError


@dataclass(frozen=True)
class Texts:
    """One text of each example, and its words from a parse, as far as the corpus has parses."""

    raw: pa.LargeStringArray
    parses: pa.LargeStringArray | None = None

    @classmethod
    def of(cls, raw: Sequence[str], parses: Sequence[str | None] | None = None) -> "Texts":
        """Make texts of plain strings."""
        return cls(pa.array(raw, pa.large_string()), None if parses is None else pa.array(parses, pa.large_string()))


@dataclass(frozen=True)
class EncodedTexts:
    """Examples ready for the encoder, and how many of them and of their tokens truncation touched."""

    examples: RaggedExamples
    truncated_examples: int
    truncated_tokens: int


def encode_texts(
    tokenizer: Tokenizer, premises: Texts, hypotheses: Texts | None, config: PackConfig, *, join: Join = join_parts
) -> EncodedTexts:
    """Tokenize, fit to `config.max_length` tokens (special ones included) and add the special tokens.

    `join` is `join_parts`, or a faster equivalent.

    Raises:
        UserError: hypotheses for a tokenizer that has no token to put between two texts.
    """
    templates = tokenizer.templates
    template = templates.single if hypotheses is None else templates.pair
    if template is None:
        raise UserError("pack: this encoder reads single texts; choose another encoder for pairs")
    texts = [tokenizer.encode(each.raw, each.parses) for each in (premises, hypotheses) if each is not None]
    fitted = fit_texts(texts, config, config.max_length - len(template))
    first, kept = fitted.segments[0], fitted.segments[0].kept
    ones = np.ones_like(kept)
    around = (template.before, template.between, template.after)
    before, between, after = ([Fill(special, ones) for special in specials] for specials in around)
    parts: list[Part] = [*before, first, *between, *fitted.segments[1:], *after]
    if not template:
        # Nothing may be left of a text of punctuation alone, and an encoder needs a token to pool.
        parts.append(Fill(tokenizer.unknown_id, (kept == 0).astype(np.int64)))
    if config.fill:
        lengths = np.sum([part.kept for part in parts], axis=0)
        parts.append(Fill(tokenizer.pad_id, config.max_length - lengths))
    input_ids, lengths = join(parts)
    # Of a single text everything belongs to the first text; of a pair, padding that is filled in to the second.
    boundaries = lengths if hypotheses is None else kept + len(before) + len(between)
    examples = RaggedExamples(input_ids, lengths, boundaries, tokenizer.pad_id, template.second_type, fitted.owners)
    return EncodedTexts(examples, int(np.count_nonzero(fitted.cut)), int(fitted.cut.sum()))
