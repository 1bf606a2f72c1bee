"""Two runs at the same time over one store."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

pytestmark = pytest.mark.faults("faults injected")


def _start(arguments: list[str], address: str) -> "subprocess.Popen[str]":
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *arguments, "--json"]
    environment = {**os.environ, "PREFECT_API_URL": address}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _states(arguments: list[list[str]], address: str) -> list[dict[str, str]]:
    """The states of the stages of runs that begin at once, and wait for each other at will."""
    found = []
    for running in [_start(words, address) for words in arguments]:
        told, complaints = running.communicate(timeout=240)
        assert running.returncode == 0, complaints
        summary = json.loads(told.splitlines()[-1])
        found.append({stage: result["state"] for stage, result in summary["outputs"].items()})
    return found


@pytest.mark.slow
def test_two_runs_of_one_recipe_do_the_work_once(
    prefect_server: str, workplace: Path, tiny_settings: list[str]
) -> None:
    found = _states([tiny_settings, tiny_settings], prefect_server)
    for kind in found[0]:
        assert sorted(states[kind] for states in found) == ["Cached", "Completed"]
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("nli")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"


@pytest.mark.slow
def test_runs_that_overlap_share_what_they_can(prefect_server: str, workplace: Path, tiny_settings: list[str]) -> None:
    other = [*tiny_settings, "--set", "finetune.learning_rate=0.01"]
    found = _states([tiny_settings, other], prefect_server)
    for stage, expected in {
        "corpus": ["Cached", "Completed"],
        "encoder": ["Cached", "Completed"],
        "pack": ["Cached", "Completed"],
        "audit": ["Cached", "Completed"],
        "finetune": ["Completed", "Completed"],
        "evaluate": ["Completed", "Completed"],
    }.items():
        assert sorted(states[stage] for states in found) == expected
