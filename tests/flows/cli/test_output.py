"""What every command has in common, and the commands that look around."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from flows.cli.main import app
from flows.pipeline import RunSummary

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def _commands(command: Any, *names: str) -> list[tuple[str, Any]]:
    parts = getattr(command, "commands", {})
    return [found for name, part in parts.items() for found in _commands(part, *names, name)] or [
        (" ".join(names), command)
    ]


COMMANDS = dict(_commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_an_example_and_json(name: str) -> None:
    command = COMMANDS[name]
    assert f"Example: nli {name}" in str(command.help)
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options or name == "ui"
    for parameter in command.params:
        assert parameter.help, parameter.name


def test_listings_are_json_for_programs(
    nli_here: Nli, finished_run: RunSummary, run_pipeline: Callable[..., RunSummary]
) -> None:
    run_pipeline(promote_as="nli-sample")

    def told(*words: str) -> dict[str, Any]:
        done = nli_here(*words, "--json")
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    assert told("recipes")["sample"]
    assert {verdict["runs"] for verdict in told("run", "sample", "--explain").values()} == {True}
    assert len(told("store", "ls")["outputs"]) == 6
    assert told("store", "verify") == {"outputs": 6, "damages": []}
    assert told("store", "prune")["folders"] == []
    status = told("status")
    assert status["flow_runs"] == status["working"] == []
    assert [run["run_id"] for run in status["runs"]] == [finished_run.mlflow_run_id]
    (champion,) = status["champions"]
    assert (champion["model"], champion["test_accuracy"]) == ("nli-sample", finished_run.metrics["test/accuracy"])
    shown = nli_here("status").stdout
    assert str(finished_run.mlflow_run_id)[:12] in shown
    assert "nli-sample" in shown
    for model in ("nli-sample", str(finished_run.mlflow_run_id)[:12]):  # as status shows them
        words = ["predict", "--model", model, "--premise", "A girl sleeps.", "--hypothesis", "A child sleeps."]
        assert told(*words)["label"] in ("entailment", "contradiction", "neutral")


def test_debug_shows_where_an_error_comes_from(nli: Nli) -> None:
    assert "Traceback" not in nli("run", "smaple").stderr
    debugged = nli("run", "smaple", "--debug")
    assert debugged.returncode == 2
    assert "Traceback" in debugged.stderr
    assert "find_recipe" in debugged.stderr


def test_a_shell_completes_commands_and_recipes(project: Path) -> None:
    def completed(*words: str) -> list[str]:
        command = Path(sys.executable).with_name("nli")
        asked = {"_NLI_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
        done = subprocess.run(
            [str(command)], env={**os.environ, **asked}, cwd=project, capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    assert completed("nli", "prom") == ["promote"]
    assert completed("nli", "run", "snli-b") == ["snli-bert-small", "snli-bert-base"]
