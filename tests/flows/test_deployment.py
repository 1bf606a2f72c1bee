"""The README's schedule path against a real server, work pool and worker."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from mlflow import MlflowClient

from flows.local.servers import free_port

pytestmark = pytest.mark.slow
_SECONDS = 240


def _environment(folder: Path, port: int) -> dict[str, str]:
    """Of a user who has nothing yet but this project's environment."""
    (folder / "prefect").mkdir()  # which Prefect makes for itself at its usual place alone
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "NLI_STORE": str(folder / "store"),
    }


class Deployed:
    """A server with the deployments of prefect.yaml, and a worker that takes their runs."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.environment = _environment(folder, self.port)
        self._project = project
        self._running: list[subprocess.Popen[bytes]] = []

    def prefect(self, *words: str) -> str:
        done = subprocess.run(
            ["prefect", "--no-prompt", *words],
            cwd=self._project,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def spawn(self, *words: str) -> "subprocess.Popen[bytes]":
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(
            ["prefect", *words],
            cwd=self._project,
            env=self.environment,
            stdout=quiet,
            stderr=quiet,
            start_new_session=True,
        )
        self._running.append(process)
        return process

    def post(self, path: str, **body: Any) -> Any:
        answer = requests.post(f"{self.api}/{path}", json=body, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def stop(self) -> None:
        for process in reversed(self._running):
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:  # a worker waits for its runs
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def artifact(self, key: str) -> str:
        """The text of the newest artifact with this key, once there is one."""
        return str(_wait(lambda: requests.get(f"{self.api}/artifacts/{key}/latest", timeout=30).json().get("data")))

    def state(self, run_id: str) -> str:
        return str(requests.get(f"{self.api}/flow_runs/{run_id}", timeout=30).json()["state_name"])


def _wait(found: Callable[[], Any]) -> Any:
    """What `found` gives once it is something."""
    give_up = time.monotonic() + _SECONDS
    while time.monotonic() < give_up:
        if value := found():
            return value
        time.sleep(0.5)
    raise AssertionError("it did not come")


def _coming(api: str) -> list[str]:
    """When runs begin that Prefect scheduled by itself."""
    runs = requests.post(f"{api}/flow_runs/filter", json={}, timeout=30).json()
    return [run["expected_start_time"] for run in runs if run["auto_scheduled"] and run["state_type"] == "SCHEDULED"]


@pytest.fixture
def deployed(tmp_path: Path, project: Path) -> Iterator[Deployed]:
    here = Deployed(tmp_path, project)
    try:
        server = here.spawn("server", "start", "--port", str(here.port))

        def healthy() -> bool:
            assert server.poll() is None, "the server ended"
            try:
                return requests.get(f"{here.api}/health", timeout=2).ok
            except requests.RequestException:
                return False

        _wait(healthy)
        subprocess.run(["nli", "deploy"], env=here.environment, check=True, stdout=subprocess.DEVNULL)
        here.spawn("worker", "start", "--pool", "nli")
        yield here
    finally:
        here.stop()


def _config(tiny_encoder: Path, **finetune: Any) -> dict[str, Any]:
    return {
        "corpus": {"name": "sample", "pairs": 360},
        "encoder": {"name": str(tiny_encoder)},
        "finetune": {"epochs": 1, "precision": "fp32", **finetune},
    }


@pytest.mark.timeout(_SECONDS * 2)
def test_a_worker_runs_a_deployment_and_then_one_stage_of_it(deployed: Deployed, tiny_encoder: Path) -> None:
    parameters = json.dumps({"config": _config(tiny_encoder), "recipe": "sample"})
    deployed.prefect("deployment", "run", "pipeline/sample", "--params", parameters, "--watch")
    done = [run for run in deployed.post("flow_runs/filter") if not run["auto_scheduled"]]
    assert [run["state_name"] for run in done] == ["Completed"]
    assert "nli-sample has no champion yet" in deployed.artifact("sample-run")

    sample = requests.get(f"{deployed.api}/deployments/name/pipeline/sample", timeout=10).json()
    assert [(known["schedule"]["cron"], known["active"]) for known in sample["schedules"]] == [("0 3 * * *", True)]
    assert any("T03:00:00" in start for start in _wait(lambda: _coming(deployed.api)))
    assert sample["concurrency_options"]["collision_strategy"] == "ENQUEUE"
    assert sample["global_concurrency_limit"]["limit"] == 1

    deployed.prefect("deployment", "run", "evaluate-stage/sample-evaluate", "--params", parameters, "--watch")
    tasks = deployed.post("task_runs/filter", sort="EXPECTED_START_TIME_DESC")
    assert (tasks[0]["name"].split("-")[0], tasks[0]["state_name"]) == ("evaluate", "Cached")

    deployed.prefect("deployment", "run", "pipeline/sample", "--params", parameters, "--watch")
    assert "Nothing changed: every stage was cached." in deployed.artifact("sample-run")


@pytest.mark.timeout(_SECONDS * 3)
def test_a_worker_reports_killed_and_cancelled_runs(
    told: list[dict[str, Any]], deployed: Deployed, tiny_encoder: Path
) -> None:
    config = _config(tiny_encoder, epochs=1000)
    deployment = requests.get(f"{deployed.api}/deployments/name/pipeline/sample", timeout=10).json()["id"]

    def start() -> str:
        parameters = {"config": config, "recipe": "sample"}
        run_id = deployed.post(
            f"deployments/{deployment}/create_flow_run", parameters=parameters, state={"type": "SCHEDULED"}
        )["id"]

        def trains() -> bool:
            tasks = deployed.post("task_runs/filter", flow_runs={"id": {"any_": [run_id]}})
            return any(task["name"].startswith("finetune-") and task["state_type"] == "RUNNING" for task in tasks)

        _wait(trains)
        return str(run_id)

    killed = start()
    for process in psutil.process_iter(["environ"]):
        if (process.info["environ"] or {}).get("PREFECT__FLOW_RUN_ID", "").replace("-", "") == killed.replace("-", ""):
            process.kill()
    _wait(lambda: deployed.state(killed) == "Crashed")
    _wait(lambda: told)
    assert "## sample: Crashed" in deployed.artifact("sample-end")
    assert (told[0]["flow_run_id"], told[0]["state"], told[0]["stage"]) == (killed, "Crashed", "finetune")

    cancelled = start()
    deployed.post(f"flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"}, force=False)
    _wait(lambda: deployed.state(cancelled) == "Cancelled")
    _wait(lambda: len(told) > 1)
    assert "## sample: Cancelled" in deployed.artifact("sample-end")
    assert {(message["flow_run_id"], message["state"]) for message in told[1:]} == {(cancelled, "Cancelled")}


@pytest.mark.timeout(_SECONDS * 3)
def test_a_workers_cancelled_sweep_ends_all_its_processes(
    told: list[dict[str, Any]], deployed: Deployed, tiny_encoder: Path, tmp_path: Path
) -> None:
    deployment = requests.get(f"{deployed.api}/deployments/name/sweep/sample-sweep", timeout=10).json()["id"]

    def start(epochs: int) -> str:
        parameters = {"config": _config(tiny_encoder, epochs=epochs), "grid": {"finetune.learning_rate": [1e-3, 1e-4]}}
        run = deployed.post(
            f"deployments/{deployment}/create_flow_run", parameters=parameters, state={"type": "SCHEDULED"}
        )
        return str(run["id"])

    def below(run_id: str) -> dict[str, str]:
        wanted = {"flow_runs": {"parent_flow_run_id": {"any_": [run_id]}}}
        return {run["id"]: run["state_name"] for run in deployed.post("flow_runs/filter", **wanted)}

    def processes() -> list[psutil.Process]:
        """Those of the sweep's runs, known by the store that they were given."""
        return [
            process
            for process in psutil.process_iter(["cmdline", "environ"])
            if "flows.local.trial_worker" in (process.info["cmdline"] or [])
            and (process.info["environ"] or {}).get("NLI_STORE") == str(tmp_path / "store")
        ]

    cancelled = start(1000)
    _wait(lambda: list((tmp_path / "store").glob("finetune/*.partial/history.jsonl")))
    assert len(processes()) == 1
    deployed.post(f"flow_runs/{cancelled}/set_state", state={"type": "CANCELLING"}, force=False)
    _wait(lambda: deployed.state(cancelled) == "Cancelled")
    _wait(lambda: not processes())
    assert list(below(cancelled).values()) == ["Cancelled"]
    tracked = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}").search_runs(["1"])
    assert [run.info.status for run in tracked] == ["KILLED", "KILLED"]  # the training, and the sweep
    _wait(lambda: told)
    assert [(message["flow_run_id"], message["state"]) for message in told] == [(cancelled, "Cancelled")]
    assert len(list((tmp_path / "store").glob("finetune/*.partial/checkpoints/*/position.json"))) == 1

    done = start(1)
    _wait(lambda: deployed.state(done) == "Completed")
    assert list(below(done).values()) == ["Completed"] * 4  # two rates, and the deployment has two seeds
    assert "Chosen by the mean on dev" in deployed.artifact("sample-sweep")
    assert not processes()


@pytest.mark.timeout(_SECONDS * 4)
def test_the_commands_lead_to_a_nightly_run(tmp_path: Path, project: Path) -> None:
    """As docs/scheduling.md has them, with the real encoder, at the port that they name."""
    text = (project / "docs" / "scheduling.md").read_text(encoding="utf-8")
    commands, rerun = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)[:2]
    assert len(commands.splitlines()) == 5
    environment = _environment(tmp_path, 4200)
    api = environment.pop("PREFECT_API_URL")
    with pytest.raises(requests.ConnectionError):
        requests.get(api, timeout=2)  # somebody else's server is not to be used
    script = tmp_path / "commands.sh"
    script.write_text(f"set -e\n{commands}{rerun}")
    with (tmp_path / "log").open("w") as log:
        shell = subprocess.Popen(
            ["bash", str(script)], cwd=project, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            assert shell.wait() == 0, (tmp_path / "log").read_text()
            runs = requests.post(f"{api}/flow_runs/filter", json={"sort": "START_TIME_ASC"}, timeout=30).json()
            done = [run for run in runs if run["state_type"] != "SCHEDULED"]
            assert [(run["name"], run["state_name"]) for run in done] == [
                ("sample", "Completed"),
                ("sample lr=1e-4", "Completed"),
            ]
            wanted = {"flow_runs": {"id": {"any_": [done[1]["id"]]}}}
            tasks = requests.post(f"{api}/task_runs/filter", json=wanted, timeout=30).json()
            states = {task["name"].rpartition("-")[0]: task["state_name"] for task in tasks}
            assert states == {
                "download corpus": "Cached",
                "download encoder": "Cached",
                "pack": "Cached",
                "finetune": "Completed",
            }
            assert _wait(lambda: _coming(api))
        finally:
            os.killpg(shell.pid, signal.SIGKILL)  # without its server, a worker waits for it
