import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.pipeline import RunSummary, pipeline
from nli_core.config import RunConfig, Stage


@pytest.fixture
def run_pipeline(
    prefect_server: str, workplace: Path, tiny_config: Callable[..., RunConfig]
) -> Callable[..., RunSummary]:
    """Runs the pipeline on the tiny config; sections can be overridden."""

    def run(*, rerun: list[Stage] | None = None, until: Stage = "evaluate", **sections: dict[str, Any]) -> RunSummary:
        return pipeline(tiny_config(**sections), recipe="tiny", rerun=rerun, until=until)

    return run


@pytest.fixture
def tiny_settings(tiny_encoder: Path) -> list[str]:
    """Arguments that make the recipe `sample` a run of seconds."""
    values = {
        "corpus.pairs": 360,
        "encoder.name": str(tiny_encoder),
        "finetune.epochs": 2,
        "finetune.precision": "fp32",
        "finetune.log_every": 4,
        "evaluate.precision": "fp32",
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]
