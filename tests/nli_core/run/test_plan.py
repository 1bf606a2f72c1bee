"""Why stages would run, over a store of finished outputs that hold a file each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nli_core import hashing
from nli_core.config import OutputKind
from nli_core.errors import UserError
from nli_core.filenames import CORPUS, ENCODER, HISTORY, MODEL
from nli_core.run.ahead import hash_ahead
from nli_core.run.config import RunConfig, parse_config
from nli_core.run.explain import OutputPlan, explain
from nli_core.run.kinds import kinds_until
from nli_core.run.plan import Outputs, code_behind, finished_upstream, key_inputs
from nli_core.store.store import Store

FILES: dict[OutputKind, tuple[str, ...]] = {
    "corpus": (f"{CORPUS}/train.jsonl",),
    "encoder": (f"{ENCODER}/config.json", f"{ENCODER}/vocab.txt"),
    "pack": ("train-0.arrow", "dev-0.arrow", "test-0.arrow"),
    "audit": ("audit.json", "audit-dev.parquet", "audit-test.parquet"),
    "finetune": (f"{MODEL}/model.safetensors", f"{MODEL}/config.json", HISTORY),
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
        for kind in kinds_until("evaluate", config):
            made_with = {"definitions": code_behind(kind, config, outputs).definitions}
            with store.claim(kind, key_inputs(kind, config, outputs)) as claim:
                for name in FILES[kind]:
                    (claim.partial / name).parent.mkdir(exist_ok=True)
                    (claim.partial / name).write_text(
                        '{"model_type": "bert"}' if name.endswith("config.json") else f"{kind} {name}"
                    )
                outputs[kind] = claim.complete({}, made_with)
        return outputs

    return run


def test_a_model_is_made_by_the_code_of_its_own_family(finish: Callable[[RunConfig], Outputs]) -> None:
    """So that to add a family, or to change one, retrains no model of another."""
    config = _config()
    outputs = finish(config)
    for kind in ("finetune", "evaluate"):
        definitions = code_behind(kind, config, outputs).definitions
        families = {name.split(".")[3] for name in definitions if name.startswith("nli_core.model.families.")}
        assert families == {"base", "bert"}
        assert "nli_core.model.post_norm.PostNormLayer" in definitions
        assert not [name for name in definitions if "pre_norm" in name or "registry" in name]


def _runs(plans: list[OutputPlan]) -> dict[str, bool]:
    return {plan.kind: plan.runs for plan in plans}


def test_an_empty_store_lets_everything_run(store: Store) -> None:
    plans = explain(_config(), store)
    assert plans[:2] == [OutputPlan(kind, "runs", "no earlier output") for kind in ("corpus", "encoder")]
    assert [plan.reason for plan in plans[2:]] == [
        f"{kind} runs before it, and may leave another output" for kind in ("corpus", "corpus", "encoder", "pack")
    ]


def test_a_finished_run_is_cached(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    outputs = finish(_config())
    assert [(plan.runs, plan.reason) for plan in explain(_config(), store)] == [
        (False, f"finished {outputs[kind].manifest.created}") for kind in outputs
    ]


@pytest.mark.parametrize(
    ("sections", "kind", "reason"),
    [
        ({"corpus": {"name": "sample", "pairs": 300}}, "corpus", "corpus.pairs: 4500 → 300"),
        ({"pack": {"max_length": 32}}, "pack", "pack.max_length: 128 → 32"),
        ({"finetune": {"seed": 7}}, "finetune", "finetune.seed: 0 → 7"),
        ({"finetune": {"checkpoint_every": 7}}, None, ""),
    ],
)
def test_the_first_stage_that_runs_names_the_field(
    store: Store, finish: Callable[[RunConfig], Outputs], sections: dict[str, Any], kind: OutputKind | None, reason: str
) -> None:
    finish(_config())
    plans = explain(_config(**sections), store)
    first = next((plan for plan in plans if plan.runs), None)
    assert (first and first.kind) == kind
    assert reason in (first.reason if first else "")


def test_a_forced_stage_runs_and_what_follows_may(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    finish(_config())
    plans = explain(_config(), store, rerun=["pack"], until="finetune")
    assert _runs(plans) == {"corpus": False, "encoder": False, "pack": True, "finetune": True}
    assert plans[2].reason == "--rerun names it, or what it is made from"


def test_what_was_hashed_ahead_is_not_read_again_unless_it_changes(
    store: Store, finish: Callable[[RunConfig], Outputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_SETTLED_NS", 0)
    outputs = finish(_config())
    hash_ahead(_config(), store, "evaluate").join()
    read, reads = hashing._sha256, []
    monkeypatch.setattr(hashing, "_sha256", lambda file: reads.append(file.name) or read(file))
    assert not any(_runs(explain(_config(), store)).values())
    assert not reads
    altered = outputs["finetune"].folder / HISTORY
    altered.write_bytes(altered.read_bytes().swapcase())
    assert _runs(explain(_config(), store))["finetune"]
    assert reads == [str(altered)]


def test_damage_is_the_reason(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    damaged = finish(_config())["finetune"].folder / HISTORY
    damaged.write_text("x")
    plans = explain(_config(), store)
    assert _runs(plans) == {
        "corpus": False,
        "encoder": False,
        "pack": False,
        "audit": False,
        "finetune": True,
        "evaluate": True,
    }
    assert str(damaged) in plans[4].reason


def test_a_stage_alone_needs_what_comes_before_it(store: Store, finish: Callable[[RunConfig], Outputs]) -> None:
    with pytest.raises(UserError, match=r"no output of the stage download .* run download first"):
        finished_upstream("pack", _config(), store)
    outputs = finish(_config())
    assert finished_upstream("evaluate", _config(), store).keys() == {"corpus", "encoder", "pack", "audit", "finetune"}
    (outputs["pack"].folder / "dev-0.arrow").write_text("x")
    with pytest.raises(UserError, match="run pack again"):
        finished_upstream("finetune", _config(), store)


def test_a_corpus_and_an_encoder_are_downloaded_apart(
    store: Store, finish: Callable[[RunConfig], Outputs], tmp_path: Path
) -> None:
    """How the user's files are read belongs to pack: labels, columns and what is carved."""
    table = tmp_path / "rows.csv"
    table.write_text("text,other,label\na,b,yes\nc,d,no\n")
    own = {"name": "file", "train": str(table), "premise": "text", "hypothesis": None}
    finish(_config(corpus=own))
    for change in ({"labels": "no,yes"}, {"premise": "other"}, {"dev_fraction": 0.2}, {"carve_seed": 1}):
        plans = explain(_config(corpus={**own, **change}), store)
        assert list(_runs(plans).values()) == [False, False, True, True, True, True]
        assert f"corpus.{next(iter(change))}" in plans[2].reason
    plans = explain(_config(corpus=own, encoder={"name": "transformer"}), store)
    assert [kind for kind, runs in _runs(plans).items() if not runs] == ["corpus", "audit"]
    table.write_text("text,other,label\na,b,yes\nc,d,no\ne,f,no\n")
    assert list(_runs(explain(_config(corpus=own), store)).values()) == [True, False, True, True, True, True]
