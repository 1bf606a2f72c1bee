"""The form of a flow run: some fields beside each other, over a whole config."""

import pytest

from nli_core.errors import UserError
from nli_core.run.changes import UNCHANGED, Changes
from nli_core.run.config import parse_config

SAMPLE = parse_config({"corpus": {"name": "sample"}, "finetune": {"epochs": 4, "patience": 2}})


def test_what_is_empty_changes_nothing() -> None:
    assert UNCHANGED.applied(SAMPLE) is SAMPLE


def test_what_is_filled_in_replaces_the_configs() -> None:
    changed = Changes(epochs=1, learning_rate=1e-3, batch_size=8, seed=5, max_length=32).applied(SAMPLE)
    assert changed.model_dump(exclude_unset=True) == {
        "corpus": {"name": "sample"},
        "pack": {"max_length": 32},
        "finetune": {"epochs": 1, "patience": 2, "learning_rate": 1e-3, "batch_size": 8, "seed": 5},
    }


@pytest.mark.parametrize(("name", "field"), [("snli", "source"), ("ag-news", "source"), ("file", "train")])
def test_the_place_of_data_is_the_corpus_own_field(name: str, field: str) -> None:
    config = parse_config({"corpus": {"name": name} | ({"train": "a.csv"} if name == "file" else {})})
    assert getattr(Changes(data="/data/b.csv").applied(config).corpus, field) == "/data/b.csv"


def test_a_value_out_of_bounds_and_a_place_for_generated_data_are_refused() -> None:
    with pytest.raises(UserError, match=r"finetune\.epochs: should be at least 1, got 0"):
        Changes(epochs=0).applied(SAMPLE)
    with pytest.raises(UserError, match=r"changes\.data: the corpus sample comes from nowhere else"):
        Changes(data="x").applied(SAMPLE)
