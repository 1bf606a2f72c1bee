"""Why stages would run, over a store of finished outputs that hold a file each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core.config import STAGES, Stage
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.plan import Outputs, StagePlan, explain, finished_upstream, key_inputs, stage_code
from nli_core.store.store import Store

FILES: dict[Stage, tuple[str, ...]] = {
    "download": (f"{CORPUS}/layout.json", f"{ENCODER}/config.json", f"{ENCODER}/vocab.txt"),
    "pack": ("train-0.arrow", "dev-0.arrow", "test-0.arrow"),
    "finetune": (f"{MODEL}/model.safetensors", HISTORY),
    "evaluate": ("metrics.json",),
}


def _config(**sections: dict[str, Any]) -> RunConfig:
    return parse_config({"corpus": {"name": "sample"}, **sections})


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def finish(store: Store) -> Callable[[RunConfig], Outputs]:
    """Leaves outputs of all stages; their contents do not depend on the config."""

    def run(config: RunConfig) -> Outputs:
        outputs: Outputs = {}
        for stage in STAGES:
            made_with = {"definitions": stage_code(stage, config).definitions}
            with store.claim(stage, key_inputs(stage, config, outputs)) as claim:
                for name in FILES[stage]:
                    (claim.partial / name).parent.mkdir(exist_ok=True)
                    (claim.partial / name).write_text(f"{stage} {name}")
                outputs[stage] = claim.complete({}, made_with)
        return outputs

    return run


def _runs(plans: list[StagePlan]) -> dict[str, bool]:
    return {plan.stage: plan.runs for plan in plans}


def test_an_empty_store_lets_everything_run(store: Store) -> None:
    plans = explain(_config(), store)
    assert plans[0] == StagePlan("download", "runs", "no earlier output")
    assert [plan.reason for plan in plans[1:]] == [
        f"{stage} runs before it, and may leave another output" for stage in ("download", "download", "pack")
    ]


def test_a_finished_run_is_cached(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    outputs = finish(_config())
    assert [(plan.runs, plan.reason) for plan in explain(_config(), store)] == [
        (False, f"finished {outputs[stage].manifest.created}") for stage in STAGES
    ]


@pytest.mark.parametrize(
    ("sections", "stage", "reason"),
    [
        ({"corpus": {"name": "sample", "pairs": 300}}, "download", "download.corpus.pairs"),
        ({"pack": {"max_length": 32}}, "pack", "pack.max_length: 128 → 32"),
        ({"finetune": {"seed": 7}}, "finetune", "finetune.seed: 0 → 7"),
        ({"finetune": {"checkpoint_every": 7}}, None, ""),
    ],
)
def test_the_first_stage_that_runs_names_the_field(
    store: Store, finish: Callable[[RunConfig], Outputs], sections: dict[str, Any], stage: Stage | None, reason: str
) -> None:
    finish(_config())
    plans = explain(_config(**sections), store)
    first = next((plan for plan in plans if plan.runs), None)
    assert (first and first.stage) == stage
    assert reason.rpartition(".")[2] in (first.reason if first else "")


def test_a_forced_stage_runs_and_what_follows_may(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    finish(_config())
    plans = explain(_config(), store, rerun=["pack"], until="finetune")
    assert _runs(plans) == {"download": False, "pack": True, "finetune": True}
    assert plans[1].reason == "--rerun names it, or a stage before it"


def test_damage_is_the_reason(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    damaged = finish(_config())["finetune"].folder / HISTORY
    damaged.write_text("x")
    plans = explain(_config(), store)
    assert _runs(plans) == {"download": False, "pack": False, "finetune": True, "evaluate": True}
    assert str(damaged) in plans[2].reason


def test_a_stage_alone_needs_what_comes_before_it(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    with pytest.raises(UserError, match=r"no output of the stage download .* run download first"):
        finished_upstream("pack", _config(), store)
    outputs = finish(_config())
    assert finished_upstream("evaluate", _config(), store).keys() == {"download", "pack", "finetune"}
    (outputs["pack"].folder / "dev-0.arrow").write_text("x")
    with pytest.raises(UserError, match="run pack again"):
        finished_upstream("finetune", _config(), store)
