"""`nli run`, killed with SIGKILL again and again, comes to what an undisturbed run comes to.

`NLI_KILLS` says how often it is killed (`make soak`: 200 times).
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName

from nli_core.config import STAGES
from nli_core.store import Store

SETTINGS = {"finetune.epochs": 6, "finetune.checkpoint_every": 3, "pack.rows_per_shard": 40}
# What is seen on the disk at the moment of each kill; a number: seconds after the start, at most.
AIMS: tuple[str | float, ...] = (
    6.0,
    "download/*.partial/scratch",
    "pack/*.partial/train-*.arrow",
    "pack/*.partial/.manifest.json.*",
    12.0,
    "finetune/*.partial/checkpoints/*.partial",
    "finetune/*.partial/checkpoints/*/best",
    12.0,
    "finetune/*.partial/model",
    "finetune/*.partial/.manifest.json.*",
    "evaluate/*.partial/figures",
    "evaluate/*/manifest.json",  # its upload begins
)
ROUNDS = max(1, int(os.environ.get("NLI_KILLS", "12")) // len(AIMS))


class Attempts:
    """Runs the recipe in a workplace, to be killed or to the end."""

    def __init__(self, folder: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.store = folder / "store"
        self._tracking = f"sqlite:///{folder / 'mlflow.db'}"
        self._command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *arguments, "--json"]
        places = {"NLI_STORE": str(self.store), "MLFLOW_TRACKING_URI": self._tracking}
        self._environment = {**os.environ, **environment, **places}
        self.made: dict[Path, str] = {}
        self.step = 0

    @property
    def tracking(self) -> MlflowClient:
        return MlflowClient(self._tracking)

    def kill(self, aim: str | float) -> bool:
        """Start it and kill it at the sight of `aim`, or after so many seconds; whether it was still running."""
        running = subprocess.Popen(
            self._command,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + (aim if isinstance(aim, float) else float("inf"))
        while running.poll() is None and time.monotonic() < end:
            if isinstance(aim, str) and next(self.store.glob(aim), None):
                break
            time.sleep(0.0005)
        alive = running.poll() is None
        if alive:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        self._check_what_is_there()
        return alive

    def finish(self) -> dict[str, Any]:
        done = subprocess.run(self._command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self._check_what_is_there()
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return summary

    def _check_what_is_there(self) -> None:
        """No output is ever made twice, and training never falls behind a checkpoint."""
        for manifest in self.store.glob("*/*/manifest.json"):
            if not manifest.parent.name.endswith(".partial"):
                text = manifest.read_text(encoding="utf-8")
                assert self.made.setdefault(manifest, text) == text
        steps = [int(path.name.split("-")[1]) for path in self.store.glob("finetune/*/checkpoints/step-*-????")]
        assert max(steps, default=0) >= self.step
        self.step = max(steps, default=0)


@pytest.fixture
def attempts(
    prefect_server: str, tmp_path: Path, tiny_settings: list[str], empty_tracking_database: Path
) -> Callable[[str], Attempts]:
    settings = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]

    def build(name: str) -> Attempts:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mlflow.db").write_bytes(empty_tracking_database.read_bytes())
        return Attempts(folder, [*tiny_settings, *settings], {"PREFECT_API_URL": prefect_server})

    return build


def _files(store: Path) -> dict[str, dict[str, str]]:
    """Digests of all files of all outputs."""
    found = {output.key: output for stage in STAGES for output in Store(store).outputs(stage)}
    assert all(output.damage() is None for output in found.values())
    return {key: {name: file.sha256 for name, file in output.manifest.files.items()} for key, output in found.items()}


def _series(client: MlflowClient, run_id: str) -> dict[str, list[int]]:
    names = client.get_run(run_id).data.metrics
    return {name: [metric.step for metric in client.get_metric_history(run_id, name)] for name in names}


@pytest.mark.timeout(60 + 400 * ROUNDS)
def test_a_run_killed_anywhere_comes_to_the_same(attempts: Callable[[str], Attempts]) -> None:
    undisturbed = attempts("undisturbed")
    expected = undisturbed.finish()
    chance, survived = random.Random(ROUNDS), 0
    for number in range(ROUNDS):
        killed = attempts(f"killed-{number}")
        for aim in AIMS:
            survived += killed.kill(chance.uniform(1.0, aim) if isinstance(aim, float) else aim)
        found = killed.finish()

        assert found["metrics"] == expected["metrics"]
        assert _files(killed.store) == _files(undisturbed.store)
        assert not [path for place in ("*/*.partial", "*/*.discarded", "runs/*") for path in killed.store.glob(place)]

        experiment = killed.tracking.get_experiment_by_name("nli")
        assert experiment is not None
        (run,) = killed.tracking.search_runs([experiment.experiment_id])
        assert (run.info.run_id, run.info.status) == (found["mlflow_run_id"], "FINISHED")
        steps = _series(undisturbed.tracking, expected["mlflow_run_id"])
        assert _series(killed.tracking, found["mlflow_run_id"]) == steps
    print(f"kills survived: {survived} of {ROUNDS * len(AIMS)}")
    assert survived >= ROUNDS * (len(AIMS) - 2)  # what an attempt was to be killed at may be over too soon

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter(name=FlowRunFilterName(any_=["sample"])))
    assert runs
    assert all(run.state is not None and run.state.is_final() for run in runs)
