from fractions import Fraction

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from nli_core.data.examples.truncate import (
    STRATEGIES,
    hypothesis_first,
    longest_first,
    premise_first,
    ratio,
    transformers,
)

LENGTHS = [(premise, hypothesis) for premise in range(30) for hypothesis in range(30)]
PREMISES, HYPOTHESES = np.array(LENGTHS).T
BUDGETS = [5, 6, 13, 14, 25]


def _popped(premise: int, hypothesis: int, budget: int) -> tuple[int, int]:
    """The book's loop, token by token: the longer text loses its last token, on a tie the hypothesis."""
    while premise + hypothesis > budget:
        if premise > hypothesis:
            premise -= 1
        else:
            hypothesis -= 1
    return premise, hypothesis


@pytest.mark.parametrize("budget", BUDGETS)
def test_the_closed_form_is_the_loop(budget: int) -> None:
    kept = np.stack(longest_first(PREMISES, HYPOTHESES, budget), axis=1)
    assert kept.tolist() == [list(_popped(*pair, budget)) for pair in LENGTHS]


@pytest.mark.parametrize("max_length", [16, 17, 32, 64])
def test_transformers_rule_is_that_of_its_tokenizers(max_length: int) -> None:
    tokenizer = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.enable_truncation(max_length, strategy="longest_first")
    lengths = [(premise, hypothesis) for premise in range(1, max_length + 9) for hypothesis in range(1, max_length + 9)]
    encoded = tokenizer.encode_batch([("a " * premise, "a " * hypothesis) for premise, hypothesis in lengths])
    expected = [[each.sequence_ids.count(0), each.sequence_ids.count(1)] for each in encoded]
    kept = np.stack(transformers(*np.array(lengths).T, max_length), axis=1)
    assert kept.tolist() == expected
    if max_length % 2:  # the book's is another one
        assert kept.tolist() != np.stack(longest_first(*np.array(lengths).T, max_length), axis=1).tolist()


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_strategy_cuts_as_little_as_it_must(name: str, budget: int) -> None:
    premises, hypotheses = PREMISES.copy(), HYPOTHESES.copy()
    kept = STRATEGIES[name](premises, hypotheses, budget)  # type: ignore[index]
    assert (kept[0] + kept[1] == np.minimum(PREMISES + HYPOTHESES, budget)).all()
    assert (kept[0] >= 0).all()
    assert (kept[1] >= 0).all()
    assert (kept[0] <= PREMISES).all()
    assert (kept[1] <= HYPOTHESES).all()
    assert (premises == PREMISES).all()
    assert (hypotheses == HYPOTHESES).all()


@pytest.mark.parametrize("budget", BUDGETS)
def test_ratio_keeps_the_same_share_of_both(budget: int) -> None:
    kept = np.stack(ratio(PREMISES, HYPOTHESES, budget), axis=1).tolist()
    for (premise, hypothesis), (left, right) in zip(LENGTHS, kept, strict=True):
        if premise + hypothesis > budget:
            share = Fraction(budget * premise, premise + hypothesis)
            # To the nearest token, unless that would leave nothing of a text.
            assert abs(left - share) <= Fraction(1, 2) or left == 1 or right == 1
            assert (left > 0, right > 0) == (premise > 0, hypothesis > 0)


def test_the_text_that_is_to_survive_does() -> None:
    lengths = np.array([4, 4, 12]), np.array([4, 12, 4])
    assert np.stack(hypothesis_first(*lengths, 10), axis=1).tolist() == [[4, 4], [4, 6], [10, 0]]
    assert np.stack(premise_first(*lengths, 10), axis=1).tolist() == [[4, 4], [0, 10], [6, 4]]
