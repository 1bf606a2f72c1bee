"""Sweeps on a Ray cluster: two nodes on this machine, with a store each and one bucket behind both."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import polars as pl
import pytest
from mlflow import MlflowClient

from flows.pipeline import RunSummary
from nli_core.filenames import MODEL
from nli_core.remote.bucket import Bucket
from nli_core.store.store import Store
from tasks.settings import RAY, REMOTE, REMOTE_MINUTES
from tests.fixtures.mlflow_server import MlflowServer
from tests.fixtures.ray_nodes import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200), pytest.mark.faults("faults injected")]
pytest.importorskip("ray", reason="no Ray: pip install -e '.[ray]'")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def cluster(
    tmp_path: Path, s3: str, mlflow_server: MlflowServer, prefect_server: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    """A cluster without nodes, and the servers that its nodes reach."""
    monkeypatch.setenv(REMOTE, s3)
    monkeypatch.setenv(REMOTE_MINUTES, "0")
    with ExitStack() as ends:
        ends.enter_context(mlflow_server.running())
        cluster = Cluster(tmp_path)
        ends.callback(cluster.close)
        monkeypatch.setenv(RAY, cluster.address)
        yield cluster


@pytest.fixture
def tracked(mlflow_server: MlflowServer) -> MlflowClient:
    return MlflowClient(mlflow_server.address)


def _mirrored(store: Store, bucket: str) -> bool:
    """Return whether a checkpoint of the training that is under way in the store is in the bucket."""
    keys = [folder.name.removesuffix(".partial") for folder in store.root.glob("finetune/*.partial")]
    remote = Bucket(bucket, setting=REMOTE)
    return any(next(iter(remote.entries(f"checkpoints/finetune/{key}")), None) for key in keys)


def test_trials_run_on_all_nodes_and_a_dead_node_loses_nothing(
    cluster: Cluster, nli: Nli, prefect_server: str, tiny_settings: list[str], tracked: MlflowClient, s3: str
) -> None:
    stores = [cluster.add(), cluster.add()]
    words = ["sweep", "sample", *tiny_settings, "--grid", "finetune.learning_rate=1e-3,2e-3", "--json"]
    done = nli(*words)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["runs"]) == 2
    assert [len(store.outputs("evaluate")) for store in stores] == [1, 1]

    words += ["--set", "finetune.epochs=400"]
    command = [str(Path(sys.executable).with_name("nli")), *words]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not _mirrored(stores[1], s3):
            time.sleep(0.05)
        cluster.kill(1)
        _, said = running.communicate(timeout=300)
    assert running.returncode == 2
    assert "sweep: 1 of 2 runs failed" in said.splitlines()[-1]
    assert "its node or task died" in said
    assert {run.info.status for run in tracked.search_runs(["1"])} == {"FINISHED", "FAILED", "KILLED"}

    resumed = nli(*words)
    assert resumed.returncode == 0, resumed.stderr
    assert len(json.loads(resumed.stdout)["runs"]) == 2
    assert "finetune: resuming from" in resumed.stderr
    assert {run.info.status for run in tracked.search_runs(["1"])} == {"FINISHED"}


def test_a_node_with_other_code_and_servers_out_of_reach_are_refused(
    cluster: Cluster, nli: Nli, tiny_settings: list[str], project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["sweep", "sample", *tiny_settings, "--grid", "finetune.learning_rate=1e-3,2e-3"]

    def refused() -> str:
        done = nli(*words)
        assert done.returncode == 2, done.stderr
        return done.stderr.splitlines()[-1]

    assert f"NLI_RAY: no cluster at {cluster.address}" in refused()
    cluster.add()
    other = tmp_path / "other"
    for package in ("flows", "tasks", "nli_core"):
        shutil.copytree(project / package, other / package)
    changed = other / "nli_core" / "training" / "optimizer.py"
    changed.write_text(changed.read_text().replace("eps=config.adam_epsilon", "eps=2 * config.adam_epsilon"))
    cluster.add(PYTHONPATH=str(other))
    assert "install the same everywhere" in refused()
    cluster.kill(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert "nodes do not reach the file of MLflow's database" in refused()


def test_two_nodes_train_one_model_as_two_processes_of_one_machine_do(
    cluster: Cluster,
    nli: Nli,
    prefect_server: str,
    tiny_settings: list[str],
    tracked: MlflowClient,
    s3: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["run", "sample", *tiny_settings, "--until", "finetune", "--json"]
    words += ["--set", "finetune.devices=2", "--set", "finetune.epochs=60", "--set", "finetune.checkpoint_every=20"]
    for variable in (RAY, REMOTE):
        monkeypatch.delenv(variable)
    alone = nli(*words)
    assert alone.returncode == 0, alone.stderr
    expected = Store(Path(os.environ["NLI_STORE"])).outputs("finetune")[0]

    store = Store(tmp_path / "driver" / "store")
    monkeypatch.setenv("NLI_STORE", str(store.root))
    monkeypatch.setenv(RAY, cluster.address)
    outside = nli(*words)
    assert "NLI_RAY: a training with several devices starts on a node; set it to auto there" in outside.stderr

    monkeypatch.setenv(RAY, cluster.address_on_node)
    stores = [cluster.add(), cluster.add()]
    too_many = nli(*words, "--set", "finetune.devices=3")
    assert "finetune.devices: 3 are named, and the cluster has 2 cores; lower it" in too_many.stderr
    without_inputs = nli(*words)
    assert without_inputs.returncode == 2
    assert "has no output of pack" in without_inputs.stderr.splitlines()[-1]

    monkeypatch.setenv(REMOTE, s3)
    assert nli("store", "push").returncode == 0
    command = [str(Path(sys.executable).with_name("nli")), *words]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}

    def run_until_a_checkpoint(act: Callable[[int], object]) -> tuple[int, str]:
        def newest() -> str:
            return max((path.name for path in store.root.glob("finetune/*.partial/checkpoints/*")), default="")

        before = newest()
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as running:
            while running.poll() is None and newest() <= before:
                time.sleep(0.05)
            act(running.pid)
            _, said = running.communicate(timeout=300)
        return running.returncode, said

    status, said = run_until_a_checkpoint(lambda pid: os.kill(pid, signal.SIGTERM))
    assert "stopped at a checkpoint" in said
    status, said = run_until_a_checkpoint(lambda pid: os.kill(pid, signal.SIGKILL))
    (away,) = (number for number, node in enumerate(stores) if node.outputs("pack"))
    status, said = run_until_a_checkpoint(lambda _: cluster.kill(away))
    assert status == 2
    assert "of 2 failed" in said.splitlines()[-1]
    assert "rerun to resume" in said.splitlines()[-1]

    cluster.add()
    together = nli(*words)
    assert together.returncode == 0, together.stderr
    found = store.outputs("finetune")[0]
    assert found.manifest.files == expected.manifest.files
    assert found.facts["devices"] == 2
    assert found.facts["resumed_at_step"] > 0


def test_a_table_is_predicted_on_all_nodes_to_the_same_bytes_though_one_dies(
    cluster: Cluster, nli: Nli, finished_run: RunSummary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, model = tmp_path / "pairs.parquet", finished_run.outputs["finetune"].output.folder / MODEL
    rows = 400_000
    texts = [f"a person number {number} is outdoors" for number in range(rows)]
    pl.DataFrame({"premise": texts, "hypothesis": texts[::-1]}).write_parquet(source)

    def words(target: str) -> list[str]:
        return ["predict", "--model", str(model), "--input", str(source), "--output", str(tmp_path / target), "--json"]

    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as a node with one core
    with monkeypatch.context() as here:
        here.delenv(RAY)
        alone = nli(*words("alone.parquet"))
    assert alone.returncode == 0, alone.stderr
    cluster.add()
    cluster.add()
    command = [str(Path(sys.executable).with_name("nli")), *words("together.parquet")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        while running.poll() is None and len(list(tmp_path.glob("together.parquet.parts/*.sha256"))) < 4:
            time.sleep(0.05)
        cluster.kill(1)
        out, said = running.communicate(timeout=300)
    assert running.returncode == 0, said
    assert json.loads(out)["rows"] == rows
    assert (tmp_path / "together.parquet").read_bytes() == (tmp_path / "alone.parquet").read_bytes()
