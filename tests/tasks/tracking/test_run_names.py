"""What runs are called."""

from pathlib import Path

import pytest

from nli_core.run.config import parse_config
from nli_core.run.overrides import override
from tasks.recipes import find_recipe
from tasks.tracking.run_names import run_title


@pytest.mark.parametrize(
    ("settings", "title"),
    [
        ([], "sample"),
        (["finetune.learning_rate=1e-4", "finetune.seed=3"], "sample lr=1e-4 seed=3"),
        (["encoder.name=hf:google-bert/bert-base-uncased@86b5e0934494"], "sample encoder=bert-base-uncased@86b5e0…"),
        (["finetune.checkpoint_every=7"], "sample"),
        (["finetune.learning_rate=3.5e-5", "finetune.weight_decay=0.02"], "sample lr=3.5e-5 decay=0.02"),
        (
            [
                "corpus.pairs=900",
                "finetune.epochs=1",
                "finetune.batch_size=8",
                "pack.max_length=32",
                "evaluate.precision=fp32",
            ],
            "sample epochs=1 batch=8 length=32 pairs=900 precision=fp32",
        ),
    ],
)
def test_a_run_is_called_by_its_recipe_and_what_differs_from_it(project: Path, settings: list[str], title: str) -> None:
    config = parse_config(override(find_recipe(project / "prefect.yaml", "sample").config, settings))
    assert run_title("sample", config) == title
    assert run_title("custom", config) == "custom"
