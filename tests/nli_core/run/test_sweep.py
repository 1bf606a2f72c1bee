"""What follows from a sweep: its trials' configs, and the key by which a rerun resumes it."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nli_core.errors import UserError
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.sweep import Sweep


def test_a_grid_has_all_products_and_each_has_all_seeds(tiny_config: Callable[..., RunConfig]) -> None:
    sweep = Sweep("tiny", tiny_config(finetune={"seed": 5}), {"finetune.epochs": [1, 2], "pack.fill": [True]}, seeds=2)
    products = list(sweep.products())
    assert products == [{"finetune.epochs": 1, "pack.fill": True}, {"finetune.epochs": 2, "pack.fill": True}]
    configs = sweep.runs(products[1])
    assert [(each.finetune.epochs, each.pack.fill, each.finetune.seed) for each in configs] == [
        (2, True, 5),
        (2, True, 6),
    ]


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"finetune.learning_rate": "log(1e-5,7)"}, "finetune.learning_rate: should be at most 1"),
        ({"finetune.batch_size": "uniform(1,2.5)"}, "finetune.batch_size: should be a whole number"),
        ({"finetune.batch_size": "uniform(8,64)"}, "uniform(8,64): .* int(LOW,HIGH) draws whole numbers"),
        ({"finetune.seed": "uniform(0,5)"}, "finetune.seed: should be a whole number"),
        ({"finetune.epoch": "int(1,2)"}, "no such field; did you mean epochs?"),
        ({"finetune.loss": "mean,max"}, "finetune.loss"),
    ],
)
def test_a_search_is_checked_at_its_ends(
    search: dict[str, str], message: str, tiny_config: Callable[..., RunConfig]
) -> None:
    with pytest.raises(UserError, match=re.sub(r"([?()])", r"\\\1", message)):
        Sweep("tiny", tiny_config(), search=search).check()


@pytest.mark.parametrize("seed", ["abc", None, [1], 1.5, True])
def test_a_seed_is_a_whole_number(seed: object, tiny_config: Callable[..., RunConfig]) -> None:
    with pytest.raises(UserError, match=r"finetune\.seed: should be"):
        Sweep("tiny", tiny_config(), {"finetune.seed": [1, seed]}).check()


def test_the_key_is_that_of_the_question_and_the_data(tiny_config: Callable[..., RunConfig], tmp_path: Path) -> None:
    rows = "text,label\n" + "".join(f"row {number},{number % 2}\n" for number in range(40))
    (tmp_path / "train.csv").write_text(rows)
    plain = tiny_config().model_dump(mode="json", exclude_unset=True)
    corpus = {"name": "file", "train": str(tmp_path / "train.csv"), "premise": "text", "hypothesis": None}
    config = parse_config({**plain, "corpus": {**corpus, "labels": ["0", "1"]}})
    sweep = Sweep("tiny", config, search={"finetune.learning_rate": "log(1e-5,1e-3)"})
    assert replace(sweep, search={"finetune.learning_rate": " log(1e-5, 0.001)"}).key == sweep.key
    others = [
        replace(sweep, seeds=2),
        replace(sweep, recipe="other"),
        replace(sweep, search={"finetune.learning_rate": "log(1e-5,1e-2)"}),
        replace(sweep, search={}, grid={"finetune.learning_rate": [1e-5, 1e-3]}),
    ]
    assert len({sweep.key, *(other.key for other in others)}) == 5
    (tmp_path / "train.csv").write_text(rows + "one more,1\n")
    assert replace(sweep).key != sweep.key
