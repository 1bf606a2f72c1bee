"""Sweeps over real trainings, tracked by a real MLflow."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from flows.sweep import sweep
from nli_core.config import RunConfig
from nli_core.errors import UserError
from tasks.settings import Settings

RATES = {"finetune.learning_rate": [1e-6, 3e-3]}


@pytest.fixture
def client(workplace: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")


def test_a_sweep_shares_stages_chooses_on_dev_and_does_nothing_twice(
    nli: Callable[..., Any], tiny_settings: list[str], client: MlflowClient
) -> None:
    words = ["sweep", "sample", *tiny_settings, "--grid", "finetune.learning_rate=1e-6,3e-3", "--seeds", "2", "--json"]
    done = nli(*words, "--set", "corpus.pairs=900", "--set", "finetune.epochs=6")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [choice["values"] for choice in told["choices"]] == [
        "finetune.learning_rate=3e-3",
        "finetune.learning_rate=1e-6",
    ]
    best, rest = ([t["dev"] for t in told["trials"] if t["values"] == c["values"]] for c in told["choices"])
    assert told["choices"][0]["dev"] == pytest.approx(sum(best) / 2)
    assert told["choices"][0]["dev_deviation"] == pytest.approx(abs(best[0] - best[1]) / 2**0.5)
    assert min(best) > max(rest)

    store = Settings.from_environment().store
    counts = {stage: len(store.outputs(stage)) for stage in ("download", "pack", "finetune", "evaluate")}
    assert counts == {"download": 1, "pack": 1, "finetune": 4, "evaluate": 4}

    parent = client.get_run(told["mlflow_run_id"])
    assert (parent.info.run_name, parent.info.status) == ("sample sweep of learning_rate", "FINISHED")
    assert parent.data.params == {"sweep.finetune.learning_rate": "1e-6, 3e-3", "sweep.seeds": "2"}
    assert "Chosen by the mean on dev: finetune.learning_rate=3e-3." in parent.data.tags["mlflow.note.content"]
    children = [client.get_run(trial["run_id"]) for trial in told["trials"]]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    assert children[3].data.params["finetune.seed"] == "1"
    assert str(children[3].info.run_name).startswith("sample pairs=900 encoder=tiny-encoder0 epochs=6 ")
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "figures")] == ["figures/sweep.png"]

    again = nli(*words, "--set", "corpus.pairs=900", "--set", "finetune.epochs=6")
    assert json.loads(again.stdout) == told
    assert len(store.outputs("finetune")) == 4


def test_a_run_that_fails_does_not_stop_the_others(
    prefect_server: str, client: MlflowClient, tiny_config: Callable[..., RunConfig], overflowing_encoder: Path
) -> None:
    config = tiny_config(finetune={"epochs": 1})
    grid = {"encoder.name": [str(overflowing_encoder), config.encoder.name]}
    with pytest.raises(UserError, match=r"1 of 2 runs failed; encoder.name=.*the loss became nan"):
        sweep(config, grid, recipe="tiny")
    (parent,) = client.search_runs(["1"], "tags.`nli.key.sweep` != ''")
    assert parent.info.status == "FAILED"
    assert config.encoder.name in parent.data.tags["mlflow.note.content"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "finetune.learning_rate=1e-5,7"], "finetune.learning_rate"),
        (["--grid", "finetune.learning_rat=1e-5"], "there is no such field"),
        (["--grid", "learning_rate=1e-5"], "write it as section.field=value"),
        (["--grid", "finetune.epochs="], "has no values"),
        (["--grid", "finetune.epochs=1,1"], "a value stands there twice"),
        ([], "give --grid, or --seeds above 1"),
        (["--grid", "finetune.epochs=1", "--grid", "finetune.epochs=2"], "named twice"),
        (["--grid", "finetune.seed=1,2", "--seeds", "2"], "--seeds says the same twice"),
    ],
)
def test_what_cannot_be_swept_is_one_line_before_anything_runs(
    nli: Callable[..., Any], words: list[str], message: str
) -> None:
    refused = nli("sweep", "sample", *words)
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
    assert not Settings.from_environment().store.outputs("download")
