"""`nli run`, killed with SIGKILL again and again, comes to what an undisturbed run comes to.

By default it is killed once in training, in slow tests once for each of `AIMS`. `NLI_KILL_ROUNDS` is the number of
rounds (`make soak`: 15).
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterTags

from flows.pipeline import RunSummary
from nli_core.store.manifest import Output
from nli_core.store.store import Store

pytestmark = pytest.mark.faults("runs compared with an undisturbed one")

# What a kill is aimed at: (seconds after the start, at least and at most), or what is seen on the disk. Some of it is
# there for less than a millisecond; what comes soon after is behind it, so that no attempt gets further.
Aim = tuple[float, float] | tuple[str, ...]
AIMS: tuple[Aim, ...] = (
    (0.5, 3.0),
    ("corpus/*.partial/scratch", "corpus/*/manifest.json"),
    ("encoder/*.partial/scratch", "encoder/*/manifest.json"),
    ("encoder/*/manifest.json",),
    ("pack/*.partial/train-*.arrow", "pack/*/manifest.json"),
    ("pack/*.partial/.manifest.json.*", "pack/*/manifest.json"),
    ("finetune/*.partial/checkpoints/*.partial",),
    (4.0, 7.0),
    ("finetune/*.partial/checkpoints/*.partial/best",),
    (4.0, 7.0),
    ("finetune/*.partial/model.fresh", "finetune/*.partial/model", "finetune/*/manifest.json"),
    ("finetune/*.partial/.manifest.json.*", "finetune/*/manifest.json"),
    ("finetune/*/manifest.json",),  # its upload begins
    ("evaluate/*.partial/figures", "evaluate/*/manifest.json"),
    ("evaluate/*/manifest.json",),
)
IN_TRAINING: tuple[Aim, ...] = (("finetune/*.partial/checkpoints/*.partial",),)
LONGER = {"finetune": {"epochs": 12}, "pack": {"rows_per_shard": 40}}
ROUNDS = int(os.environ.get("NLI_KILL_ROUNDS", "1"))


class Attempts:
    """Runs the recipe over a store, to be killed."""

    def __init__(self, store: Path, arguments: list[str], server: str) -> None:
        self.store = store
        self._command = [str(Path(sys.executable).with_name("nli")), *arguments]
        self._environment = {**os.environ, "PREFECT_API_URL": server}
        self.made: dict[Path, str] = {}
        self.step = 0

    def kill(self, aim: Aim, chance: random.Random) -> bool:
        """Start it and kill it at the sight of any of `aim`, or after so many seconds; whether it was still running."""
        running = subprocess.Popen(
            self._command,
            env=self._environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        sights = [sight for sight in aim if isinstance(sight, str)]
        life = float("inf") if sights else chance.uniform(*(float(end) for end in aim))
        end = time.monotonic() + life
        while running.poll() is None and time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError):  # renamed while it was looked into
                if any(next(self.store.glob(sight), None) for sight in sights):
                    break
            time.sleep(0.0002)
        alive = running.poll() is None
        if alive:
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        self.check_what_is_there()
        return alive

    def check_what_is_there(self) -> None:
        """No output is ever made twice, and training never falls behind a checkpoint."""
        for manifest in self.store.glob("*/*/manifest.json"):
            if not manifest.parent.name.endswith(".partial"):
                text = manifest.read_text(encoding="utf-8")
                assert self.made.setdefault(manifest, text) == text
        steps = [int(path.name.split("-")[1]) for path in self.store.glob("finetune/*/checkpoints/step-*-????")]
        assert max(steps, default=0) >= self.step
        self.step = max(steps, default=0)


def _digests(output: Output) -> dict[str, str]:
    return {name: file.sha256 for name, file in output.manifest.files.items()}


def _files(store: Store) -> dict[str, dict[str, str]]:
    """Digests of all files of all outputs."""
    found = {output.key: output for output in store.outputs()}
    assert all(output.damage() is None for output in found.values())
    return {key: _digests(output) for key, output in found.items()}


def _series(client: MlflowClient, run_id: str) -> dict[str, list[int]]:
    names = client.get_run(run_id).data.metrics
    return {name: [metric.step for metric in client.get_metric_history(run_id, name)] for name in names}


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("finished_run")
@pytest.mark.parametrize("number", range(ROUNDS))
@pytest.mark.parametrize(
    ("aims", "sections"),
    [
        pytest.param(IN_TRAINING, {}, id="in-training"),
        pytest.param(AIMS, LONGER, id="anywhere", marks=pytest.mark.slow),
    ],
)
def test_a_run_killed_anywhere_comes_to_the_same(
    run_pipeline: Callable[..., RunSummary],
    nli_here: Callable[..., Any],
    prefect_server: str,
    workplace: Path,
    tiny_settings: list[str],
    empty_tracking_database: Path,
    monkeypatch: pytest.MonkeyPatch,
    aims: tuple[Aim, ...],
    sections: dict[str, dict[str, int]],
    number: int,
    record_property: Callable[[str, object], None],
) -> None:
    began = datetime.now(UTC)
    expected = run_pipeline(**sections)
    settings = [f"{section}.{name}={value}" for section, fields in sections.items() for name, value in fields.items()]
    settings.append("finetune.checkpoint_every=3")
    folder = workplace / "killed"
    folder.mkdir()
    (folder / "mlflow.db").write_bytes(empty_tracking_database.read_bytes())
    monkeypatch.setenv("NLI_STORE", str(folder / "store"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    command = [
        "run",
        "sample",
        *tiny_settings,
        *(word for setting in settings for word in ("--set", setting)),
        "--json",
    ]
    killed = Attempts(folder / "store", command, prefect_server)
    chance = random.Random(number)
    survived = sum(killed.kill(aim, chance) for aim in aims)
    record_property("kills survived", survived)
    done = nli_here(*command)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    killed.check_what_is_there()
    assert survived > 0.8 * len(aims) - 1  # an attempt may be over before it is seen

    assert found["metrics"] == expected.metrics
    undisturbed = {result.output.key: result.output for result in expected.outputs.values()}
    assert _files(Store(killed.store)) == {key: _digests(output) for key, output in undisturbed.items()}
    assert not [path for place in ("*/*.partial", "*/*.discarded", "runs/*") for path in killed.store.glob(place)]

    tracking = MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    experiment = tracking.get_experiment_by_name("nli")
    assert experiment is not None
    (run,) = tracking.search_runs([experiment.experiment_id])
    assert (run.info.run_id, run.info.status) == (found["mlflow_run_id"], "FINISHED")
    steps = _series(MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}"), str(expected.mlflow_run_id))
    assert _series(tracking, found["mlflow_run_id"]) == steps

    with get_client(sync_client=True) as client:
        named = client.read_flow_runs(flow_run_filter=FlowRunFilter(tags=FlowRunFilterTags(all_=["sample"])))
    runs = [run for run in named if run.created and run.created >= began]  # other tests share the server
    assert runs
    assert all(run.state is not None and run.state.is_final() for run in runs)
