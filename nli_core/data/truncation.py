"""Cutting the two texts of an example to a common budget of tokens."""

import numpy as np

IntArray = np.ndarray[tuple[int], np.dtype[np.int64]]


def longest_first(premise: IntArray, hypothesis: IntArray, budget: int) -> tuple[IntArray, IntArray]:
    """The lengths that remain when tokens are popped from the longer text until both fit into `budget`.

    On a tie the hypothesis loses, as in Dive into Deep Learning 16.7.2. In closed form: a text of at most half the
    budget stays whole and the other gets what it leaves; two longer ones get half each, the odd token to the premise.
    """
    shorter = np.minimum(premise, hypothesis)
    halved = shorter > budget // 2
    cut_premise = np.where(halved, budget - budget // 2, np.minimum(premise, budget - hypothesis))
    cut_hypothesis = np.where(halved, budget // 2, np.minimum(hypothesis, budget - premise))
    fits = premise + hypothesis <= budget
    premise_stays = fits | (~halved & (premise <= hypothesis))
    hypothesis_stays = fits | (~halved & (hypothesis < premise))
    return np.where(premise_stays, premise, cut_premise), np.where(hypothesis_stays, hypothesis, cut_hypothesis)
