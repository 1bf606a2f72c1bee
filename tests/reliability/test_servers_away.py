"""Tracking and Prefect servers that are not there: at the start, and for a while in the middle of a training."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Run

from flows.local.servers import free_port, prefect_server

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
def test_a_server_away_at_the_start_is_one_line(
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
    assert not list((workplace / "store").glob("corpus/*"))


def _line_with(running: "subprocess.Popen[str]", words: str) -> str:
    """Read on until there is a line with these words."""
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        assert "tracking-secret" not in line
        assert "Traceback" not in line
        if words in line:
            return line
        lines.append(line)
    raise AssertionError(f"the process ended without a word of {words!r}: {''.join(lines)}")


@contextmanager
def _training(settings: list[str], epochs: int) -> Iterator["subprocess.Popen[str]"]:
    """A training in a process of its own, which does not outlive the block. An epoch takes half a second or more."""
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *settings, "--json"]
    fields = {"epochs": epochs, "batch_size": 2, "log_every": 20, "checkpoint_every": 500}
    command += [word for name, value in fields.items() for word in ("--set", f"finetune.{name}={value}")]
    with subprocess.Popen(
        command,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests themselves may ignore it
    ) as running:
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)


def _run(server: Any) -> Run:
    """The only one in MLflow."""
    client = MlflowClient(server.address)
    experiment = client.get_experiment_by_name("nli")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


@pytest.mark.slow
def test_training_continues_without_its_tracking_database(
    prefect_server: str, workplace: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("COLUMNS", "300")
    with _training(tiny_settings, 1000) as running:
        _line_with(running, "finetune: ")
        (workplace / "mlflow.db").unlink()
        assert "(attempt to write a readonly database)" in _line_with(running, "MLflow is unavailable")
        _line_with(running, "finetune: ")  # it goes on
        running.send_signal(signal.SIGINT)
        _line_with(running, "stopped at a checkpoint")
        running.communicate(timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(240 + 2 * AWAY_SECONDS)
def test_training_continues_without_mlflow(
    prefect_server: str, mlflow_server: Any, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("COLUMNS", "300")
    with mlflow_server.running(), _training(tiny_settings, 1000) as running:
        _line_with(running, "finetune: ")
        mlflow_server.kill()
        _line_with(running, "MLflow is unavailable")
        time.sleep(AWAY_SECONDS)
        _line_with(running, "finetune: ")  # it goes on
        with mlflow_server.running():
            _line_with(running, "MLflow is available again")
            running.send_signal(signal.SIGINT)
            _line_with(running, "stopped at a checkpoint")
            running.communicate(timeout=30)
            run = _run(mlflow_server)
            assert run.info.status == "KILLED"
            for name in ("train/loss", "train/examples_per_second"):
                history = MlflowClient(mlflow_server.address).get_metric_history(run.info.run_id, name)
                steps = [metric.step for metric in history]
                assert steps == list(range(20, steps[-1] + 1, 20))


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_training_that_ends_without_mlflow_is_marked_later(
    prefect_server: str,
    mlflow_server: Any,
    nli: Nli,
    tiny_settings: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    monkeypatch.setenv("COLUMNS", "300")
    with mlflow_server.running(), _training(tiny_settings, 1000) as running:
        _line_with(running, "finetune: ")
        mlflow_server.kill()
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=30)
        assert running.returncode == 130
        assert "tracking-secret" not in told
    with mlflow_server.running():
        assert _run(mlflow_server).info.status == "RUNNING"
        done = nli("run", "sample", *tiny_settings, "--until", "download")
        assert done.returncode == 0, done.stderr
        assert _run(mlflow_server).info.status == "KILLED"


@pytest.mark.slow
@pytest.mark.timeout(1000 + 2 * AWAY_SECONDS)
def test_training_continues_without_prefect(
    workplace: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (workplace / "prefect").mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(workplace / "prefect"))
    port = free_port()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{port}/api")
    monkeypatch.setenv("COLUMNS", "300")
    with ExitStack() as ends:
        with prefect_server(temporary=True, port=port) as server:
            server.wait_until_healthy()
            running = ends.enter_context(_training(tiny_settings, 60 + 3 * int(AWAY_SECONDS)))
            _line_with(running, "finetune: ")
        _line_with(running, "Prefect is unavailable")
        time.sleep(AWAY_SECONDS)
        with prefect_server(temporary=True, port=port) as server:
            server.wait_until_healthy()
            told, complaints = running.communicate(timeout=900)
            assert running.returncode == 0, complaints
            flow_run = json.loads(told.splitlines()[-1])["flow_run_id"]
            state = requests.get(f"{server.address}/api/flow_runs/{flow_run}", timeout=30).json()["state"]["type"]
            assert state == "COMPLETED"
