"""One recipe, two places: everything that decides nothing about the result is different."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

from flows.pipeline import RunSummary, pipeline
from nli_core.filenames import CHECKPOINTS
from nli_core.run.config import RunConfig
from nli_core.store.manifest import MANIFEST_NAME


def _files(summary: RunSummary) -> dict[str, bytes]:
    """What the stages left, but for what says when, where and how fast."""
    return {
        f"{stage}/{path.relative_to(result.output.folder)}": path.read_bytes()
        for stage, result in summary.outputs.items()
        for path in sorted(result.output.folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME and CHECKPOINTS not in path.parts
    }


@pytest.mark.slow
def test_workers_store_and_checkpoints_change_no_byte(
    finished_run: RunSummary,
    workplace: Path,
    tiny_config: Callable[..., RunConfig],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NLI_STORE", str(workplace / "another" / "store"))
    flow = pipeline.with_options(task_runner=ThreadPoolTaskRunner(max_workers=1 + (os.cpu_count() or 1)))
    one, two = finished_run, flow(config=tiny_config(finetune={"checkpoint_every": 7}), recipe="tiny")
    assert {result.state_name for result in two.outputs.values()} == {"Completed"}
    assert {stage: result.output.key for stage, result in one.outputs.items()} == {
        stage: result.output.key for stage, result in two.outputs.items()
    }
    assert _files(one) == _files(two)
    assert len([name for name in _files(one) if name.endswith(".arrow")]) > 4
    assert one.metrics == two.metrics
