"""The special tokens that a tokenizer puts around texts, read off what it makes of two short ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import tokenizers

from nli_core.errors import UserError

_TEXT = "a"


@dataclass(frozen=True)
class Template:
    """Ids before a text, between two texts, and after the last one; and the token type of a second text: 0 or 1.

    A second text's type begins with its first token and lasts to the end.
    """

    before: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    second_type: int = 1

    def __len__(self) -> int:
        """Count the special tokens."""
        return len(self.before) + len(self.between) + len(self.after)


@dataclass(frozen=True)
class Templates:
    """The templates of a single text and of a pair; None where the tokenizer puts nothing between two texts."""

    single: Template
    pair: Template | None


def read_templates(tokenizer: tokenizers.Tokenizer, named: Sequence[int | None]) -> Templates:
    """Read off the templates of a tokenizer; of one that adds no tokens, make BERT's of the ids `named` cls and sep.

    Raises:
        UserError: it puts other tokens around texts than an encoder can be given here.
    """
    try:
        single, pair = tokenizer.encode(_TEXT), tokenizer.encode(_TEXT, _TEXT)
    except Exception as error:  # tokenizers raises bare Exception
        raise UserError(f"the encoder's tokenizer cannot read {_TEXT!r} ({error}); use another encoder") from None
    if None in pair.sequence_ids:
        alone, both = _template(single), _template(pair)
        return Templates(alone, both if both.between else None)
    cls, sep = named
    if cls is None or sep is None:
        return Templates(Template(), None)
    return Templates(Template((cls,), (), (sep,)), Template((cls,), (sep,), (sep,)))


def _template(encoding: tokenizers.Encoding) -> Template:
    owners, ids, types = encoding.sequence_ids, encoding.ids, encoding.type_ids
    first, last = owners.index(0), len(owners) - owners[::-1].index(0)
    if 1 not in owners:
        start, between, after, second = len(ids), [], ids[last:], 1
    else:
        start, end = owners.index(1), len(owners) - owners[::-1].index(1)
        between, after, second = ids[last:start], ids[end:], types[start]
    if any(types[:start]) or second not in (0, 1) or set(types[start:]) - {second}:
        raise UserError(f"the tokenizer gives texts the token types {types}, and not 0 and then 1; use another encoder")
    return Template(tuple(ids[:first]), tuple(between), tuple(after), second)
