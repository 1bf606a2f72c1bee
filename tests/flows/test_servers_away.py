"""Tracking and Prefect servers that are not there: at the start, and for a while in the middle of a training."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from flows.servers import prefect_server

pytestmark = pytest.mark.faults("faults injected")

AWAY_SECONDS = float(os.environ.get("NLI_AWAY_SECONDS", "5"))
Nli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("variable", "address", "named"),
    [
        ("MLFLOW_TRACKING_URI", "http://me:secret@127.0.0.1:9", "MLflow at http://127.0.0.1:9 does not answer"),
        ("PREFECT_API_URL", "http://127.0.0.1:9/api", "Prefect at http://127.0.0.1:9/api does not answer"),
    ],
)
def test_a_server_that_is_away_at_the_start_is_one_line_before_any_work(
    prefect_server: str,
    workplace: Path,
    tiny_settings: list[str],
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    address: str,
    named: str,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv(variable, address)
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"nli: {named}")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert not list((workplace / "store").glob("download/*"))


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Mlflow:
    """A real tracking server that can be killed and started again over the same database."""

    def __init__(self, folder: Path) -> None:
        self.address = f"http://127.0.0.1:{_free_port()}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        self._command += ["--port", self.address.rpartition(":")[2], "--artifacts-destination", str(folder / "served")]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Up within the block; killed at its end, children and all."""
        server = subprocess.Popen(
            self._command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while True:
                assert server.poll() is None
                try:
                    requests.get(f"{self.address}/health", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.1)
            yield
        finally:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


def _line_with(running: "subprocess.Popen[str]", words: str) -> str:
    """Read on until there is a line with these words."""
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        if words in line:
            return line
        lines.append(line)
    raise AssertionError(f"the process ended without a word of {words!r}: {''.join(lines)}")


@pytest.mark.slow
@pytest.mark.timeout(240 + 2 * AWAY_SECONDS)
def test_training_goes_on_without_mlflow_and_its_curves_arrive_in_full(
    prefect_server: str, workplace: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = Mlflow(workplace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow.address)
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("COLUMNS", "300")
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings]
    command += ["--set", "finetune.epochs=1000", "--set", "finetune.checkpoint_every=50"]
    with mlflow.running():
        running = subprocess.Popen(
            command,
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests themselves may ignore it
        )
        _line_with(running, "finetune: ")
    try:
        _line_with(running, "MLflow takes nothing at present")
        time.sleep(AWAY_SECONDS)
        _line_with(running, "finetune: ")  # it goes on
        with mlflow.running():
            _line_with(running, "MLflow answers again")
            running.send_signal(signal.SIGINT)
            _line_with(running, "stopped at a checkpoint")
            running.communicate(timeout=30)
            client = MlflowClient(mlflow.address)
            experiment = client.get_experiment_by_name("nli")
            assert experiment is not None
            (run,) = client.search_runs([experiment.experiment_id])
            assert run.info.status == "KILLED"
            for name in ("train/loss", "train/examples_per_second"):
                steps = [metric.step for metric in client.get_metric_history(run.info.run_id, name)]
                assert steps == list(range(4, steps[-1] + 1, 4))
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(240 + 2 * AWAY_SECONDS)
def test_training_goes_on_without_prefect_and_the_flow_run_is_completed(
    workplace: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "prefect").mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(workplace / "prefect"))
    port = _free_port()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    monkeypatch.setenv("COLUMNS", "300")
    epochs = 300 + 60 * int(AWAY_SECONDS)
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings, "--json"]
    command += ["--set", f"finetune.epochs={epochs}", "--set", "finetune.checkpoint_every=null"]
    with prefect_server("--no-ui", port=port) as server:
        server.wait_until_healthy()
        running = subprocess.Popen(
            command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        _line_with(running, "finetune: ")
    try:
        _line_with(running, "Prefect takes nothing at present")
        time.sleep(AWAY_SECONDS)
        with prefect_server("--no-ui", port=port) as server:
            server.wait_until_healthy()
            told, complaints = running.communicate(timeout=200)
            assert running.returncode == 0, complaints
            flow_run = json.loads(told.splitlines()[-1])["flow_run_id"]
            state = requests.get(f"{server.address}/api/flow_runs/{flow_run}", timeout=30).json()["state"]["type"]
            assert state == "COMPLETED"
    finally:
        if running.poll() is None:
            os.killpg(running.pid, signal.SIGKILL)
