import random
from collections import Counter
from collections.abc import Sequence

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nli_core.evaluation.behaviour.changes import CHANGES, Texts
from nli_core.evaluation.behaviour.flips import SAME_TEXT, behaviour_metrics, behaviours

LABELS = ("entailment", "neutral", "contradiction")
PAIRS = [
    ("Two men and 3 dogs play with Anna.", "Anna plays football."),
    ("A woman reads in the garden.", "Seven people sleep quietly."),
    ("3.5 litres, 12 cups and 2 pots", "Bob and Anna cook dinner"),
]
texts = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=60), min_size=1, max_size=2)


@given(texts.map(tuple), st.integers(0, 5))
def test_every_change_takes_any_text_and_repeats_itself(example: Texts, seed: int) -> None:
    for change in CHANGES.values():
        made = change.make(example, random.Random(seed))
        assert made == change.make(example, random.Random(seed))
        assert made is None or len(made) == len(example)


@pytest.mark.parametrize("example", PAIRS)
def test_a_typo_keeps_the_letters_and_the_first_text(example: Texts) -> None:
    made = CHANGES["typo"].make(example, random.Random(0))
    assert made is not None
    assert made[0] == example[0]
    assert made[1] != example[1]
    assert Counter(made[1]) == Counter(example[1])


def test_names_and_numbers_change_alike_in_both_texts() -> None:
    first, second = CHANGES["names"].make(PAIRS[0], random.Random(0)) or ("", "")
    (name,) = {word.strip(".") for word in first.split()} & {word.strip(".") for word in second.split()}
    assert "Anna" not in first + second
    assert first == PAIRS[0][0].replace("Anna", name)
    numbers = CHANGES["numbers"].make(PAIRS[0], random.Random(0)) or ("", "")
    assert "Two" in numbers[0]  # the beginning of a sentence is left alone
    assert " 3 " not in numbers[0]
    kept = CHANGES["numbers"].make(PAIRS[2], random.Random(0)) or ("", "")
    assert kept[0].startswith("3.5 litres")  # a part of a number is none
    assert CHANGES["names"].make(PAIRS[1], random.Random(0)) is None
    assert CHANGES["names"].is_sure is CHANGES["numbers"].is_sure is False


def _predictions(count: int = 60) -> pl.DataFrame:
    rows = [
        {"id": number, "premise": f"A man walks {number}.", "hypothesis": f"Person {number} sleeps."}
        for number in range(count)
    ]
    return pl.DataFrame(rows).with_columns(predicted=pl.lit("neutral"))


def test_flips_are_counted_and_shown() -> None:
    def by_capital(examples: Sequence[Texts]) -> list[str]:
        return ["neutral" if example[0].startswith(("A", " A")) else "contradiction" for example in examples]

    found = {each.name: each for each in behaviours(_predictions(), ("premise", "hypothesis"), LABELS, by_capital)}
    assert found["case"].flip_rate == 1.0
    assert found["case"].examples == found["case"].flipped == 60
    assert found["case"].answers == ["neutral", "contradiction"]
    assert found["case"].before == ["A man walks 0.", "Person 0 sleeps."]
    assert found["case"].after == ["a man walks 0.", "person 0 sleeps."]
    assert found["punctuation"].flip_rate == found["typo"].flip_rate == 0
    assert found["typo"].before is None
    assert found["typo"].high > 0  # none of sixty may still be one of twenty
    assert "names" not in found  # there is none
    assert found[SAME_TEXT].flip_rate == 1.0
    metrics = behaviour_metrics(list(found.values()))
    assert metrics["behaviour/case/flip_rate"] == 1.0
    assert metrics["behaviour/case/flip_rate_low"] > 0.9


def test_single_texts_and_other_labels_have_no_premise_to_repeat() -> None:
    texts = _predictions().with_columns(predicted=pl.lit("sports"))
    found = behaviours(texts, ("premise",), ("sports", "world"), lambda examples: ["sports"] * len(examples))
    assert SAME_TEXT not in {each.name for each in found}
    others = behaviours(texts, ("premise", "hypothesis"), ("sports", "world"), lambda rows: ["sports"] * len(rows))
    assert SAME_TEXT not in {each.name for each in others}
