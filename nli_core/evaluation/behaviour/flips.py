"""How often a model changes its answer when texts change, and what it makes of a premise as its own hypothesis."""

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from nli_core.evaluation.behaviour.changes import CHANGES, Texts
from nli_core.intervals import proportion_interval

_EXAMPLES = 400  # of test, chosen from a fixed seed
_SEED = 0
_ENTAILMENT = "entailment"
SAME_TEXT = "same_text"

Predict = Callable[[Sequence[Texts]], Sequence[str]]
"""Returns the label of each example; takes its texts."""


@dataclass(frozen=True)
class Behaviour:
    """How many of the examples that a change applies to got another answer, with the 95 % interval of the rate.

    `before` and `after` are the texts of one of them, `answers` both answers. `is_sure` says that each is an error.
    `flips` has 1 for each that flipped, else 0: of the same test set, those of other models are of the same examples.
    """

    name: str
    description: str
    is_sure: bool
    examples: int
    flipped: int
    flip_rate: float
    low: float
    high: float
    before: list[str] | None
    after: list[str] | None
    answers: list[str] | None
    flips: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def behaviours(
    predictions: pl.DataFrame, texts: Sequence[str], labels: Sequence[str], predict: Predict
) -> list[Behaviour]:
    """Apply every change to a sample of the examples in `predictions`, and compare the answers.

    `texts` are the columns of an example's texts. Of pairs with a label called entailment, a premise as its own
    hypothesis must get it.
    """
    sample = predictions.sample(min(_EXAMPLES, predictions.height), seed=_SEED).sort("id")
    examples: list[Texts] = list(sample.select(texts).iter_rows())
    found = []
    for name, change in CHANGES.items():
        before, after, answers = [], [], []
        for number, (example, answer) in enumerate(zip(examples, sample["predicted"], strict=True)):
            changed = change.make(example, random.Random(f"{_SEED} {name} {number}"))
            if changed is not None and changed != example:
                before.append(example)
                after.append(changed)
                answers.append(answer)
        found.append(_compared(name, change.description, change.is_sure, before, after, answers, predict))
    if len(texts) == 2 and _ENTAILMENT in labels:
        premises = sorted({premise for premise, _ in examples})
        pairs = [(premise, premise) for premise in premises]
        description = "a premise as its own hypothesis must be entailment"
        expected = [_ENTAILMENT] * len(pairs)
        found.append(_compared(SAME_TEXT, description, True, pairs, pairs, expected, predict))
    return [each for each in found if each.examples]


def behaviour_metrics(found: Sequence[Behaviour]) -> dict[str, float]:
    """Return the flip rates with their intervals: `behaviour/NAME/flip_rate`, `flip_rate_low`, `flip_rate_high`."""
    metrics: dict[str, float] = {}
    for each in found:
        name = f"behaviour/{each.name}/flip_rate"
        metrics |= {name: each.flip_rate, f"{name}_low": each.low, f"{name}_high": each.high}
    return metrics


def _compared(
    name: str,
    description: str,
    is_sure: bool,
    before: Sequence[Texts],
    after: Sequence[Texts],
    expected: Sequence[str],
    predict: Predict,
) -> Behaviour:
    answers = predict(after) if after else []
    flips = "".join(str(int(answer != wanted)) for answer, wanted in zip(answers, expected, strict=True))
    flipped = flips.count("1")
    low, high = proportion_interval(flipped, len(after)) if after else (0.0, 0.0)
    first = flips.index("1") if flipped else None
    return Behaviour(
        name=name,
        description=description,
        is_sure=is_sure,
        examples=len(after),
        flipped=flipped,
        flip_rate=flipped / max(len(after), 1),
        low=low,
        high=high,
        before=None if first is None else list(before[first]),
        after=None if first is None else list(after[first]),
        answers=None if first is None else [expected[first], answers[first]],
        flips=flips,
    )
