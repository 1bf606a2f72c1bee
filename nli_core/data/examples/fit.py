"""Fit the texts of examples to a budget of tokens: truncate them, or read them in windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nli_core.arrays import IntArray
from nli_core.config import PackConfig
from nli_core.data.examples.join import Segment
from nli_core.data.examples.truncate import STRATEGIES
from nli_core.data.examples.windows import cut_windows, room_for_hypotheses

Ids = tuple[IntArray, IntArray]
"""Token ids of texts, flat, and how many belong to each text [examples]."""


@dataclass(frozen=True)
class FittedTexts:
    """What is kept of the texts of each row, and how many tokens of each example [examples] are lost.

    `owners` [rows] has the example of each row; None: each example is one row.
    """

    segments: list[Segment]
    cut: IntArray
    owners: IntArray | None = None


def fit_texts(texts: Sequence[Ids], config: PackConfig, budget: int) -> FittedTexts:
    """Fit one text of each example, or two, to a budget of tokens."""
    if config.long_texts == "windows":
        return _windows(texts, budget)
    (_, first), *others = texts
    strategy = STRATEGIES[config.truncation]
    kept = strategy(first, others[0][1], budget) if others else (np.minimum(first, budget),)
    cut = sum((lengths - rest for (_, lengths), rest in zip(texts, kept, strict=True)), start=np.zeros_like(first))
    return FittedTexts([Segment(*ids, rest) for ids, rest in zip(texts, kept, strict=True)], cut)


def _windows(texts: Sequence[Ids], budget: int) -> FittedTexts:
    (values, lengths), *others = texts
    if not others:
        windows = cut_windows(lengths, np.full_like(lengths, budget))
        return FittedTexts([windows.of(values, lengths)], np.zeros_like(lengths), windows.owners)
    ((second, second_lengths),) = others
    kept = room_for_hypotheses(lengths, second_lengths, budget)
    windows = cut_windows(lengths, budget - kept)
    segments = [windows.of(values, lengths), windows.repeat(second, second_lengths, kept)]
    return FittedTexts(segments, second_lengths - kept, windows.owners)
