"""The examples of every family's tokenizer against transformers' own encoding of texts and pairs."""

from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from nli_core.config import PackConfig
from nli_core.data.examples.compiled_join import join_parts_compiled
from nli_core.data.examples.encode import EncodedTexts, Texts, encode_texts
from nli_core.data.examples.join import join_parts
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.data.tokenize.template import Template
from nli_core.data.tokenize.tokenizer import Tokenizer
from nli_core.errors import UserError

FAMILIES = ("bert", "roberta", "xlm-roberta", "modernbert", "deberta-v2")
MAX_LENGTH = 24
FolderOf = Callable[[str], Path]
_WORDS = [
    "A girl is here.",
    "two children",
    " don't",
    "we'll",
    "1,234.5",
    "Ünïcödé",
    "中文",
    "\t",
    "  ",
    "</s>",
    "[SEP]",
]
_TEXT = st.lists(st.sampled_from(_WORDS) | st.text(max_size=12), min_size=1, max_size=6).map(" ".join)


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tokenizer_folder: FolderOf) -> Path:
    return tokenizer_folder(request.param)


def _rows(encoded: EncodedTexts) -> list[tuple[list[int], list[int]]]:
    examples = encoded.examples
    starts = examples.lengths.cumsum() - examples.lengths
    rows = []
    for start, length, boundary in zip(starts, examples.lengths, examples.boundaries, strict=True):
        types = [0] * boundary + [examples.second_type] * (length - boundary)
        rows.append((examples.input_ids[start : start + length].tolist(), types))
    return rows


@settings(max_examples=60)
@given(texts=st.lists(st.tuples(_TEXT, _TEXT), min_size=1, max_size=4))
def test_examples_are_what_transformers_makes(folder: Path, texts: list[tuple[str, str]]) -> None:
    """Ids and token types, truncated and not, by the plain tokenizer and by the one for whole corpora."""
    theirs = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    premises, hypotheses = (list(column) for column in zip(*texts, strict=True))
    config = PackConfig(max_length=MAX_LENGTH, truncation="transformers")
    for second in (None, hypotheses):
        expected = theirs(
            premises, second, max_length=MAX_LENGTH, truncation=True, padding=False, return_token_type_ids=True
        )
        for tokenizer, join in ((Tokenizer(folder), join_parts), (FastTokenizer(folder), join_parts_compiled)):
            encoded = encode_texts(tokenizer, Texts.of(premises), second and Texts.of(second), config, join=join)
            assert _rows(encoded) == list(zip(expected["input_ids"], expected["token_type_ids"], strict=True))


def test_the_templates_of_the_families(tokenizer_folder: FolderOf) -> None:
    pairs = {family: Tokenizer(tokenizer_folder(family)).templates.pair for family in FAMILIES}
    assert pairs == {
        "bert": Template((2,), (3,), (3,)),
        "roberta": Template((0,), (2, 2), (2,), 0),
        "xlm-roberta": Template((0,), (2, 2), (2,), 0),
        "modernbert": Template((2,), (3,), (3,)),
        "deberta-v2": Template((2,), (3,), (3,)),
    }


def test_a_template_with_the_first_token_at_the_end_is_refused(tmp_path: Path, tokenizer_folder: FolderOf) -> None:
    """As XLNet's, whose last token has a type of its own."""
    theirs = tokenizers.Tokenizer.from_file(str(tokenizer_folder("bert") / "tokenizer.json"))
    theirs.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A [SEP] [CLS]:2", pair="$A [SEP] $B:1 [SEP]:1 [CLS]:2", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    theirs.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match=r"token types \[0, 0, 2\], and not 0 and then 1"):
        Tokenizer(tmp_path)
