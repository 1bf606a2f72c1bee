from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from flows import stages
from flows.pipeline import RunSummary
from nli_core.errors import UserError
from nli_core.run.config import RunConfig


@pytest.mark.usefixtures("workplace")
def test_stages_run_alone_in_order_and_name_what_is_missing(
    prefect_server: str, tiny_config: Callable[..., RunConfig]
) -> None:
    config = tiny_config()
    with pytest.raises(UserError, match="no output of the stage download"):
        stages.pack_stage(config)
    stages.download_stage(config)
    with pytest.raises(UserError, match="no output of the stage pack"):
        stages.evaluate_stage(config)
    stages.pack_stage(config)
    stages.finetune_stage(config)
    with pytest.raises(UserError, match="no output of the stage audit"):
        stages.evaluate_stage(config)
    stages.audit_stage(config)
    summary = stages.evaluate_stage(config)
    assert summary.outputs["evaluate"].state_name == "Completed"
    assert 0 <= summary.metrics["test/accuracy"] <= 1
    assert stages.evaluate_stage(config).outputs["evaluate"].state_name == "Cached"
    assert stages.evaluate_stage(config, rerun=True).outputs["evaluate"].state_name == "Completed"
    for key in ("custom-pack-end", "custom-pack-run", "custom-evaluate-run"):
        assert requests.get(f"{prefect_server}/artifacts/{key}/latest", timeout=30).ok


def test_a_stage_reads_the_store_and_refuses_damage(
    run_pipeline: Callable[..., RunSummary], tiny_config: Callable[..., RunConfig], workplace: Path
) -> None:
    run_pipeline(until="pack")
    (shard,) = workplace.glob("store/pack/*/dev-00000.arrow")
    shard.write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"dev-00000\.arrow .*run pack again"):
        stages.finetune_stage(tiny_config())
