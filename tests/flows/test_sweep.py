"""Sweeps over real trainings, tracked by a real MLflow."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterState,
    FlowRunFilterStateName,
)

from flows.pipeline import RunSummary
from tasks.settings import Settings

RATES = {"finetune.learning_rate": [1e-6, 3e-3]}


@pytest.fixture
def client(workplace: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")


def test_a_sweep_tries_each_value_and_names_the_best(
    finished_run: RunSummary,
    run_pipeline: Callable[..., RunSummary],
    nli_here: Callable[..., Any],
    tiny_settings: list[str],
) -> None:
    other = run_pipeline(finetune={"learning_rate": 1e-6})
    done = nli_here("sweep", "sample", *tiny_settings, "--grid", "finetune.learning_rate=1e-6,1e-3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert {run["values"]["finetune.learning_rate"]: run["run_id"] for run in told["runs"]} == {
        1e-06: other.mlflow_run_id,
        0.001: finished_run.mlflow_run_id,
    }
    devs = [trial["dev"] for trial in told["trials"]]
    assert devs == sorted(devs, reverse=True)
    store = Settings.from_environment().store
    counts = Counter(output.manifest.kind for output in store.outputs())
    assert counts == {"corpus": 1, "encoder": 1, "pack": 1, "audit": 1, "finetune": 2, "evaluate": 2}


@pytest.mark.slow
def test_a_sweep_shares_stages_and_chooses_on_dev(
    nli_here: Callable[..., Any], tiny_settings: list[str], client: MlflowClient
) -> None:
    words = ["sweep", "sample", *tiny_settings, "--grid", "finetune.learning_rate=1e-6,3e-3", "--seeds", "2", "--json"]
    words += ["--set", "corpus.pairs=900", "--set", "finetune.epochs=12"]
    done = nli_here(*words, "--jobs", "2")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [trial["values"] for trial in told["trials"]] == [
        {"finetune.learning_rate": 0.003},
        {"finetune.learning_rate": 1e-06},
    ]
    best, rest = ([r["dev"] for r in told["runs"] if r["values"] == t["values"]] for t in told["trials"])
    assert told["trials"][0]["dev"] == pytest.approx(sum(best) / 2)
    assert told["trials"][0]["dev_deviation"] == pytest.approx(abs(best[0] - best[1]) / 2**0.5)
    assert min(best) > max(rest)

    store = Settings.from_environment().store
    counts = Counter(output.manifest.kind for output in store.outputs())
    assert counts == {"corpus": 1, "encoder": 1, "pack": 1, "audit": 1, "finetune": 4, "evaluate": 4}

    parent = client.get_run(told["mlflow_run_id"])
    assert (parent.info.run_name, parent.info.status) == ("sample sweep of learning_rate", "FINISHED")
    assert parent.data.params == {"sweep.finetune.learning_rate": "1e-06, 0.003", "sweep.seeds": "2"}
    assert "Chosen by the mean on dev: finetune.learning_rate=0.003." in parent.data.tags["mlflow.note.content"]
    children = [client.get_run(run["run_id"]) for run in told["runs"]]
    assert {child.data.tags["mlflow.parentRunId"] for child in children} == {parent.info.run_id}
    assert children[3].data.params["finetune.seed"] == "1"
    assert children[3].info.run_name == "sample lr=3e-3 seed=1"
    figures = [file.path for file in client.list_artifacts(parent.info.run_id, "figures")]
    assert figures == ["figures/dev_by_epoch.png", "figures/sweep.png"]

    with get_client(sync_client=True) as prefect:
        flow_run = FlowRunFilterId(any_=[UUID(parent.data.tags["nli.flow_run_id"])])
        below = prefect.read_task_runs(flow_run_filter=FlowRunFilter(id=flow_run))
    assert sorted((run.name, run.state_name) for run in below) == sorted(
        (f"lr={rate} seed={seed}", "Completed") for rate in ("1e-6", "3e-3") for seed in (0, 1)
    )

    refused = nli_here("run", "--from-mlflow", parent.info.run_id)
    assert refused.returncode == 2
    assert "is the run of a sweep, and no training" in refused.stderr

    again = nli_here(*words)
    assert json.loads(again.stdout) == told
    assert len(store.outputs("finetune")) == 4


@pytest.mark.slow
def test_a_bad_trial_is_stopped_early_and_a_longer_search_resumes_it(
    nli_here: Callable[..., Any], tiny_settings: list[str], client: MlflowClient, workplace: Path
) -> None:
    # Each is longer than the two seconds between two looks at dev. The rule waits for five, so the bad one is the last.
    rates = "3.1e-3,3e-3,2.9e-3,2.8e-3,2.7e-3,2.6e-3,1e-6"
    grid = ["sweep", "sample", *tiny_settings, "--grid", f"finetune.learning_rate={rates}", "--json"]
    grid += ["--set", "corpus.pairs=900", "--set", "finetune.epochs=60", "--jobs", "2"]
    done = nli_here(*grid, "--prune", "median")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert len(told["runs"]) == 6
    (pruned,) = told["pruned"]
    assert pruned["values"] == {"finetune.learning_rate": 1e-6}
    assert pruned["epoch"] < 60
    assert "finetune.learning_rate=1e-06 is pruned after epoch" in done.stderr
    (stopped,) = (workplace / "store").glob("finetune/*.partial/checkpoints/*/position.json")
    reached = json.loads(stopped.read_text())["step"]

    (run,) = client.search_runs(["1"], "params.`finetune.learning_rate` = '1e-06'")
    assert (run.info.status, run.data.tags["mlflow.parentRunId"]) == ("KILLED", told["mlflow_run_id"])
    assert "| finetune.learning_rate=1e-06 |" in client.get_run(told["mlflow_run_id"]).data.tags["mlflow.note.content"]

    whole = nli_here(*grid)
    assert whole.returncode == 0, whole.stderr
    assert min(map(int, re.findall(r"finetune: (\d+)/\d+, (?!loading)", whole.stderr))) > reached
    told = json.loads(whole.stdout)
    assert (len(told["runs"]), told["pruned"]) == (7, [])
    assert client.get_run(run.info.run_id).info.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.faults("faults injected")
def test_a_killed_search_ends_as_an_undisturbed_one(
    nli: Callable[..., Any], prefect_server: str, tiny_settings: list[str], client: MlflowClient, workplace: Path
) -> None:
    words = ["sweep", "sample", *tiny_settings, "--search", "finetune.learning_rate=log(1e-5,1e-2)", "--trials", "4"]
    words += ["--search", "finetune.batch_size=16,32", "--set", "finetune.epochs=30", "--json"]
    command = [str(Path(sys.executable).with_name("nli")), *words]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    for finished in (0, 2):
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
            sight = "finetune/*.partial/checkpoints/*/position.json"
            while running.poll() is None and not (
                len(Settings.from_environment().store.outputs("evaluate")) == finished
                and list((workplace / "store").glob(sight))
            ):
                time.sleep(0.05)
            below = psutil.Process(running.pid).children()
            running.kill()
        psutil.wait_procs(below, timeout=20)
        assert not any(process.is_running() for process in below)
    resumed = nli(*words)
    assert resumed.returncode == 0, resumed.stderr
    told = json.loads(resumed.stdout)
    assert len(told["runs"]) == 4
    store = Settings.from_environment().store
    assert len(store.outputs("finetune")) == 4
    assert store.leftovers() == []
    runs = client.search_runs(["1"], "tags.`nli.key.finetune` != ''")
    assert sorted(run.info.run_id for run in runs) == sorted(run["run_id"] for run in told["runs"])
    assert {run.info.status for run in runs} == {"FINISHED"}
    with get_client(sync_client=True) as prefect:
        below = [run for run in prefect.read_flow_runs(limit=200) if run.name.startswith("sample lr=")]
    states = [run.state_name for run in below if run.parameters["config"]["finetune"]["epochs"] == 30]
    assert sorted(states) == ["Completed"] * 4 + ["Crashed"] * 2

    for name in ("studies.db", "store"):  # undisturbed, the same search draws the same values
        path = workplace / name
        path.rename(workplace / f"first-{name}")
    again = json.loads(nli(*words).stdout)
    assert [run["values"] for run in again["runs"]] == [run["values"] for run in told["runs"]]
    assert [run["dev"] for run in again["runs"]] == [run["dev"] for run in told["runs"]]
    figures = {file.path for file in client.list_artifacts(again["mlflow_run_id"], "figures")}
    assert {"figures/sweep.png", "figures/slices.png"} <= figures


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.faults("faults injected")
def test_a_failed_trial_does_not_stop_the_others(
    prefect_server: str,
    workplace: Path,
    tiny_settings: list[str],
    tiny_encoder: Path,
    overflowing_encoder: Path,
    client: MlflowClient,
) -> None:
    words = ["sweep", "sample", *tiny_settings, "--grid", "finetune.epochs=400,1"]
    words += ["--grid", f"encoder.name={overflowing_encoder},{tiny_encoder}"]
    checkpoints = "finetune/*.partial/checkpoints/*/position.json"

    @contextmanager
    def sweeping(sight: str) -> Iterator["subprocess.Popen[str]"]:
        command = [str(Path(sys.executable).with_name("nli")), *words]
        environment = {**os.environ, "PREFECT_API_URL": prefect_server}
        with subprocess.Popen(
            command,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests themselves may ignore it
        ) as running:
            while running.poll() is None and not list((workplace / "store").glob(sight)):
                time.sleep(0.05)
            yield running

    with sweeping(checkpoints) as running:
        (below,) = psutil.Process(running.pid).children()
        below.kill()
        _, said = running.communicate(timeout=120)
    assert running.returncode == 2
    assert "sweep: 3 of 4 runs failed" in said.splitlines()[-1]
    assert "the loss became nan" in said.splitlines()[-1]
    assert "seed=0: its process ended with status -9" in said
    (parent,) = client.search_runs(["1"], "tags.`nli.key.sweep` != ''")
    assert parent.info.status == "FAILED"
    assert f"finetune.epochs=1, encoder.name={tiny_encoder} | 1 |" in parent.data.tags["mlflow.note.content"]

    reached = _step(workplace / "store", checkpoints)
    with sweeping(checkpoints) as running:
        assert running.stderr
        for line in running.stderr:
            if "epoch 1/400" in line or "epoch 2/400" in line:
                running.send_signal(signal.SIGINT)
                break
        _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "stopped at a checkpoint after step" in said
    assert said.splitlines()[-1] == "nli: stopped"
    assert _step(workplace / "store", checkpoints) > reached

    with sweeping(checkpoints) as running, get_client(sync_client=True) as prefect:
        assert running.stderr
        next(line for line in running.stderr if "epoch " in line and "loss" in line)
        (below,) = psutil.Process(running.pid).children()
        below.suspend()  # it cannot stop at a checkpoint
        running.send_signal(signal.SIGINT)
        is_cancelling = FlowRunFilter(state=FlowRunFilterState(name=FlowRunFilterStateName(any_=["Cancelling"])))
        while not prefect.read_flow_runs(flow_run_filter=is_cancelling):
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=60)
    assert running.returncode == 130
    assert not below.is_running()
    assert "RUNNING" not in {run.info.status for run in client.search_runs(["1"])}


def _step(store: Path, checkpoints: str) -> int:
    return max(int(json.loads(path.read_text())["step"]) for path in store.glob(checkpoints))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "finetune.learning_rate=1e-5,7"], "finetune.learning_rate"),
        (["--grid", "finetune.learning_rat=1e-5"], "no such field"),
        (["--grid", "learning_rate=1e-5"], "write it as section.field=value"),
        (["--grid", "finetune.epochs="], "has no values"),
        (["--grid", "finetune.epochs=1,1"], "has a duplicate value"),
        ([], "give --grid, --search, or --seeds above 1"),
        (["--grid", "finetune.epochs=1", "--grid", "finetune.epochs=2"], "named twice"),
        (["--grid", "finetune.seed=1,2", "--seeds", "2"], "is in --grid and conflicts with --seeds"),
        (["--search", "finetune.learning_rate=log(1e-5,7)"], "finetune.learning_rate"),
        (["--search", "finetune.learning_rate=log(1e-5)"], "write log(LOW,HIGH)"),
        (["--search", "finetune.epochs=1,2", "--grid", "finetune.seed=1"], "--grid and --search exclude each other"),
        (["--grid", "finetune.epochs=1,2", "--trials", "3"], "--trials is the number of trials of a --search"),
        (["--grid", "finetune.seed=1,2", "--set", "finetune.epochs=1", "--prune", "median"], "finetune.epochs is 1"),
    ],
)
def test_what_cannot_be_swept_is_one_line_before_anything_runs(
    nli_here: Callable[..., Any], words: list[str], message: str
) -> None:
    refused = nli_here("sweep", "sample", *words)
    assert refused.returncode == 2
    assert message in refused.stderr.splitlines()[-1]
    assert not Settings.from_environment().store.outputs("download")


@pytest.mark.slow
@pytest.mark.usefixtures("workplace")
def test_seeds_are_a_group_that_is_compared_and_promoted_as_one(
    nli_here: Callable[..., Any], tiny_settings: list[str], client: MlflowClient
) -> None:
    done = nli_here("run", "sample", *tiny_settings, "--set", "finetune.epochs=1", "--seeds", "2", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    accuracies = [client.get_run(run).data.metrics["test/accuracy"] for run in told["runs"]]
    figure = told["figures"]["test/accuracy"]
    assert figure["mean"] == pytest.approx(sum(accuracies) / 2)
    assert (figure["least"], figure["most"]) == (min(accuracies), max(accuracies))
    assert 0 <= figure["low"] <= figure["mean"] <= figure["high"] <= 1
    assert {"test/calibrated/ece", "behaviour/typo/flip_rate"} <= told["figures"].keys()
    devs = [client.get_run(run).data.metrics["dev/accuracy"] for run in told["runs"]]
    assert devs == sorted(devs, reverse=True)

    assert "version 1 is champion now" in nli_here("promote", told["mlflow_run_id"], "--model", "seeds").stdout
    version = client.get_model_version("seeds", "1")
    assert (version.run_id, version.tags["nli.group"]) == (told["runs"][0], told["mlflow_run_id"])
    better = ["--set", "finetune.learning_rate=0.003", "--set", "finetune.epochs=12"]
    other = json.loads(nli_here("run", "sample", *tiny_settings, *better, "--seeds", "2", "--json").stdout)
    compared = nli_here("compare", told["mlflow_run_id"], other["mlflow_run_id"])
    assert "with 2 and 2 seeds and 60 examples a difference below" in compared.stdout
    plain = json.loads(nli_here("compare", told["mlflow_run_id"], other["mlflow_run_id"], "--json").stdout)
    (found,) = plain["others"]
    assert found["second"]["mean"] == other["figures"]["test/accuracy"]["mean"]
    promoted = nli_here("promote", other["mlflow_run_id"], "--model", "seeds")
    assert (promoted.returncode == 0) == (found["p_value"] < 0.05 and found["difference"] > 0)
    assert "1st decision on this test set" in promoted.stdout + promoted.stderr


def test_seeds_run_a_recipe_whole(nli_here: Callable[..., Any]) -> None:
    for words in (["--rerun", "pack"], ["--promote-as", "x"]):
        refused = nli_here("run", "sample", "--seeds", "2", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
