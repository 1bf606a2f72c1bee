"""Sweeps on a Ray cluster: two nodes on this machine, with a store each and one bucket behind both."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from flows.local.servers import free_port
from nli_core.remote.bucket import Bucket
from nli_core.store.store import Store
from tasks.settings import RAY, REMOTE, REMOTE_MINUTES
from tests.reliability.conftest import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600), pytest.mark.faults("faults injected")]
pytest.importorskip("ray", reason="no Ray: pip install -e '.[ray]'")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]
_FIRST_PORT = 21_000  # Ray refuses some others, and each node of a machine needs its own


class Cluster:
    """Nodes with one core each; the first is the head."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._nodes = folder, list[subprocess.Popen[bytes]]()
        self._scratch = tempfile.mkdtemp(prefix="ray-")  # the path of a socket must be short
        self._head_port, self._client_port = free_port(), free_port()
        self.address = f"ray://127.0.0.1:{self._client_port}"

    def add(self, **environment: str) -> Store:
        """Start a node; returns its store."""
        number = len(self._nodes)
        store = self.folder / f"node-{number}" / "store"
        command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus", "1"]
        command += ["--object-store-memory", "80000000", "--disable-usage-stats"]
        first = _FIRST_PORT + 100 * number
        command += ["--min-worker-port", str(first), "--max-worker-port", str(first + 99)]
        if number:
            command += ["--address", f"127.0.0.1:{self._head_port}"]
        else:
            command += ["--head", "--port", str(self._head_port), "--ray-client-server-port", str(self._client_port)]
            command += ["--include-dashboard", "false", "--temp-dir", self._scratch]
        variables = {**os.environ, "NLI_STORE": str(store), **environment}
        with (self.folder / f"node-{number}.log").open("w") as log:
            node = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        self._nodes.append(node)
        while "Ray runtime started" not in (self.folder / f"node-{number}.log").read_text():
            assert node.poll() is None
            time.sleep(0.2)
        return Store(store)

    def kill(self, number: int) -> None:
        """End all processes of a node."""
        node = self._nodes[number]
        with suppress(psutil.NoSuchProcess):
            for process in [*psutil.Process(node.pid).children(recursive=True), node]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        node.wait()

    def close(self) -> None:
        """End all nodes, the head last."""
        for number in reversed(range(len(self._nodes))):
            self.kill(number)
        shutil.rmtree(self._scratch, ignore_errors=True)


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
