"""Cutting the two texts of an example to a common budget of tokens.

Every strategy takes the lengths of premises and hypotheses and gives those that remain; tokens go from the end.
"""

from collections.abc import Callable, Mapping

import numpy as np

from nli_core.arrays import Bools, IntArray
from nli_core.config import Truncation

Strategy = Callable[[IntArray, IntArray, int], tuple[IntArray, IntArray]]


def longest_first(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Pop tokens from the longer text until both fit into `budget`; return the lengths that remain.

    On a tie the hypothesis loses, as in Dive into Deep Learning 16.7.2. In closed form: a text of at most half the
    budget stays whole and the other gets what it leaves; two longer ones get half each, the odd token to the premise.
    """
    return _longest_first(premise, hypothesis, budget, np.ones_like(premise, dtype=bool))


def transformers(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Cut as `longest_first` of the package tokenizers does, which the package transformers uses.

    Where both are cut, the one that was longer gets the odd token, on a tie the hypothesis. Source:
    `truncate_encodings` in tokenizers' utils/truncation.rs.
    """
    return _longest_first(premise, hypothesis, budget, premise > hypothesis)


def _longest_first(premise: IntArray, hypothesis: IntArray, budget: int, odd: Bools) -> tuple[IntArray, IntArray]:
    """Cut the longer text; of two that are longer than half, the premise gets the odd token where `odd` is true."""
    halved = np.minimum(premise, hypothesis) > budget // 2
    half_of_premise = np.where(odd, budget - budget // 2, budget // 2)
    cut_premise = np.where(halved, half_of_premise, np.minimum(premise, budget - hypothesis))
    cut_hypothesis = np.where(halved, budget - half_of_premise, np.minimum(hypothesis, budget - premise))
    fits = premise + hypothesis <= budget
    premise_stays = fits | (~halved & (premise <= hypothesis))
    hypothesis_stays = fits | (~halved & (hypothesis < premise))
    return np.where(premise_stays, premise, cut_premise), np.where(hypothesis_stays, hypothesis, cut_hypothesis)


def ratio(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Keep the same share of both texts, to the nearest token, and together exactly the budget.

    A text that had a token keeps one. The second exercise of Dive into Deep Learning 16.7.5.
    """
    total = premise + hypothesis
    share = (2 * budget * premise + total) // np.maximum(2 * total, 1)  # budget * premise / total, rounded half up
    share = np.clip(share, np.minimum(premise, 1), budget - np.minimum(hypothesis, 1))
    fits = total <= budget
    return np.where(fits, premise, share), np.where(fits, hypothesis, budget - share)


def hypothesis_first(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Cut the hypothesis, down to nothing, before the premise loses a token."""
    kept = np.minimum(premise, budget)
    return kept, np.minimum(hypothesis, budget - kept)


def premise_first(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """Cut the premise, down to nothing, before the hypothesis loses a token."""
    kept = np.minimum(hypothesis, budget)
    return np.minimum(premise, budget - kept), kept


STRATEGIES: Mapping[Truncation, Strategy] = {
    "longest_first": longest_first,
    "transformers": transformers,
    "ratio": ratio,
    "hypothesis_first": hypothesis_first,
    "premise_first": premise_first,
}
