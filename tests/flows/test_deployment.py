"""The README's schedule path against a real server, work pool and worker."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

pytestmark = pytest.mark.slow
_SECONDS = 240


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_HOME": str(tmp_path / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NLI_STORE": str(tmp_path / "store"),
        "PORT": str(port),
    }


@pytest.fixture
def prefect(environment: dict[str, str], project: Path) -> Callable[..., str]:
    def run(*words: str) -> str:
        done = subprocess.run(
            ["prefect", "--no-prompt", *words],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def _spawn(words: list[str], environment: dict[str, str], cwd: Path) -> "subprocess.Popen[bytes]":
    quiet = subprocess.DEVNULL
    return subprocess.Popen(words, cwd=cwd, env=environment, stdout=quiet, stderr=quiet, start_new_session=True)


@pytest.fixture
def worker(environment: dict[str, str], prefect: Callable[..., str], project: Path) -> Iterator[None]:
    """A server with the deployments of prefect.yaml, and a worker that takes their runs."""
    api = environment["PREFECT_API_URL"]
    server = _spawn(["prefect", "server", "start", "--port", environment["PORT"]], environment, project)
    running = [server]
    try:
        give_up = time.monotonic() + _SECONDS
        while time.monotonic() < give_up:
            try:
                if requests.get(f"{api}/health", timeout=2).ok:
                    break
            except requests.ConnectionError:
                assert server.poll() is None, "the server ended"
        prefect("work-pool", "create", "nli", "--type", "process")
        prefect("deploy", "--all")
        running.append(_spawn(["prefect", "worker", "start", "--pool", "nli"], environment, project))
        yield
    finally:
        for process in reversed(running):
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


@pytest.mark.timeout(_SECONDS * 2)
@pytest.mark.usefixtures("worker")
def test_a_worker_runs_a_deployment_and_then_one_stage_of_it(
    prefect: Callable[..., str], environment: dict[str, str], tiny_encoder: Path
) -> None:
    config = {
        "corpus": {"name": "sample", "pairs": 360},
        "encoder": {"name": str(tiny_encoder)},
        "finetune": {"epochs": 1, "precision": "fp32"},
    }
    parameters = json.dumps({"config": config, "recipe": "sample"})
    prefect("deployment", "run", "pipeline/sample", "--params", parameters, "--watch")
    api = environment["PREFECT_API_URL"]
    runs = requests.post(f"{api}/flow_runs/filter", json={}, timeout=10).json()
    assert [run["state_name"] for run in runs if run["state_type"] != "SCHEDULED"] == ["Completed"]

    sample = requests.get(f"{api}/deployments/name/pipeline/sample", timeout=10).json()
    assert [(known["schedule"]["cron"], known["active"]) for known in sample["schedules"]] == [("0 3 * * *", True)]
    assert sample["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert sample["global_concurrency_limit"]["limit"] == 1

    prefect("deployment", "run", "evaluate-stage/sample-evaluate", "--params", parameters, "--watch")
    tasks = requests.post(f"{api}/task_runs/filter", json={"sort": "EXPECTED_START_TIME_DESC"}, timeout=10).json()
    assert (tasks[0]["name"].split("-")[0], tasks[0]["state_name"]) == ("evaluate", "Cached")
