"""A training that is told to stop: by a signal, or by a cancellation in Prefect."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.states import Cancelling

from tasks.settings import Settings

pytestmark = pytest.mark.faults("faults injected")

LONG = ["--set", "finetune.epochs=400", "--set", "finetune.checkpoint_every=null"]
MOST_SECONDS = 10


@pytest.fixture
def training(
    prefect_server: str, workplace: Path, tiny_settings: list[str]
) -> Callable[..., "contextmanager[subprocess.Popen[str]]"]:
    """A long training in a process of its own, once it has come so far that the store has `sight`."""

    @contextmanager
    def start(sight: str = "finetune/*.partial/history.jsonl", devices: int = 1) -> Iterator["subprocess.Popen[str]"]:
        command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings, *LONG]
        command += ["--set", f"finetune.devices={devices}"]
        environment = {**os.environ, "PREFECT_API_URL": prefect_server}
        with subprocess.Popen(
            command,
            env=environment,
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the tests themselves may ignore it
        ) as running:
            try:
                while running.poll() is None and not list((workplace / "store").glob(sight)):
                    time.sleep(0.05)
                yield running
            finally:
                if running.poll() is None:
                    os.killpg(running.pid, signal.SIGKILL)

    return start


def _flow_run(workplace: Path) -> FlowRun:
    (path,) = (path for path in (workplace / "store" / "runs").iterdir() if not path.name.startswith("launch-"))
    with get_client(sync_client=True) as client:
        return client.read_flow_run(path.name)  # type: ignore[arg-type]


def _statuses(workplace: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nli")
    assert experiment is not None
    return [run.info.status for run in client.search_runs([experiment.experiment_id])]


def _end(running: "subprocess.Popen[str]") -> tuple[int, str]:
    began = time.monotonic()
    _, told = running.communicate(timeout=60)
    assert time.monotonic() - began < MOST_SECONDS
    return running.returncode, told


def _cancel(running: "subprocess.Popen[str]", workplace: Path) -> str:
    """Cancel the flow run in Prefect, where it ends as cancelled; what its process said."""
    run = _flow_run(workplace)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(run.id, Cancelling())
        ended, told = _end(running)
        state = client.read_flow_run(run.id).state
    assert ended == 130
    assert state is not None
    assert state.is_cancelled()
    return told


def _assert_stopped(workplace: Path, told: str) -> None:
    assert "stopped at a checkpoint after step" in told
    assert "Traceback" not in told
    (position,) = (workplace / "store").glob("finetune/*.partial/checkpoints/*/position.json")
    assert json.loads(position.read_text())["step"] > 0
    assert _statuses(workplace) == ["KILLED"]


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_signal_stops_a_training_at_a_checkpoint(
    training: Callable[..., "contextmanager[subprocess.Popen[str]]"],
    workplace: Path,
    number: signal.Signals,
    status: int,
    devices: int,
) -> None:
    with training(devices=devices) as running:
        run = _flow_run(workplace)
        running.send_signal(number)
        ended, told = _end(running)
    assert ended == status
    _assert_stopped(workplace, told)
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run.id).state
    assert state is not None
    assert state.is_crashed()


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, 2])
def test_a_cancellation_in_prefect_stops_at_a_checkpoint(
    training: Callable[..., "contextmanager[subprocess.Popen[str]]"], workplace: Path, devices: int
) -> None:
    with training(devices=devices) as running:
        told = _cancel(running, workplace)
    _assert_stopped(workplace, told)


@pytest.mark.slow
def test_a_waiting_training_can_be_cancelled(
    training: Callable[..., "contextmanager[subprocess.Popen[str]]"], workplace: Path
) -> None:
    settings = Settings.from_environment()
    with settings.store.lock(settings.training_lock, ""), training("finetune/*.partial") as running:
        told = _cancel(running, workplace)
    assert "waiting for another training on this device" in told
    assert "Traceback" not in told
    assert MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}").get_experiment_by_name("nli") is None
