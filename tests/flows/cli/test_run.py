import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from flows.pipeline import RunSummary

Nli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_recipes_are_listed(nli_here: Nli) -> None:
    done = nli_here("recipes")
    assert done.returncode == 0
    assert {"sample", "snli-minilm", "file-example"} <= set(done.stdout.split())


def test_fields_are_listed_with_their_values_in_a_recipe(nli_here: Nli) -> None:
    listed = nli_here("config", "finetune", "--recipe", "sample", "--json")
    fields = {field["path"]: field for field in json.loads(listed.stdout)["fields"]}
    assert (fields["finetune.epochs"]["default"], fields["finetune.epochs"]["value"]) == ("3", "4")
    assert "passes over train" in nli_here("config").stdout
    assert "did you mean finetune.epochs?" in nli_here("config", "finetune.epoch").stderr


def test_a_run_ends_in_one_json_object_and_the_next_is_cached(
    nli: Nli, nli_here: Nli, tiny_settings: list[str], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = nli_here("run", "sample", *tiny_settings, "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary.keys() == {
        "recipe",
        "status",
        "flow_run_id",
        "mlflow_run_id",
        "tracking_uri",
        "outputs",
        "metrics",
        "promotion",
        "missed_requirements",
    }
    assert (summary["recipe"], summary["status"]) == ("sample", "Completed")
    kinds = ["corpus", "encoder", "pack", "audit", "finetune", "evaluate"]
    assert list(summary["outputs"]) == kinds
    for kind, told in summary["outputs"].items():
        assert told.keys() == {"key", "state", "seconds", "path"}
        assert told["state"] == "Completed"
        assert Path(told["path"]) == workplace / "store" / kind / told["key"]
    assert {"dev/accuracy", "test/accuracy", "test/accuracy_low", "test/f1/neutral"} <= summary["metrics"].keys()

    explained = nli_here("run", "sample", *tiny_settings, "--explain")
    assert re.findall(r"^(\w+) +(cached|runs)", explained.stdout, re.MULTILINE) == [(kind, "cached") for kind in kinds]
    changed = nli_here("run", "sample", *tiny_settings, "--set", "finetune.learning_rate=0.5", "--explain")
    assert "finetune.learning_rate: 0.001 → 0.5" in changed.stdout

    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    again = nli("run", "sample", *tiny_settings)
    assert again.returncode == 0
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in again.stderr.splitlines()}
    assert "prefect" in imported
    assert not imported & {"mlflow", "torch", "polars", "matplotlib"}
    assert "Nothing to do: every stage was cached." in again.stdout
    assert "95 % interval" in again.stdout
    assert "make ui" in again.stdout

    listed = nli_here("store", "ls").stdout
    assert all(told["key"][:12] in listed for told in summary["outputs"].values())
    assert "6 outputs, all as their manifests say" in nli_here("store", "verify").stdout
    assert "nothing to prune" in nli_here("store", "prune").stdout

    shard = next(Path(summary["outputs"]["pack"]["path"]).glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[:-1])
    damaged = nli_here("store", "verify")
    assert damaged.returncode == 2
    assert str(shard) in damaged.stdout


def _servers_of(home: Path) -> list[int]:
    found = []
    for process in psutil.process_iter(["environ", "status"]):
        environment = process.info["environ"] or {}
        if environment.get("PREFECT_HOME") == str(home) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True])
def test_a_temporary_server_lives_as_long_as_the_command(prefect_home: Path, killed: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", "--until", "download"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        assert "corpus: Completed" in run.stderr.readline()
        if killed:
            run.kill()
        run.stderr.read()
    assert run.returncode == (-9 if killed else 0)
    psutil.wait_procs([psutil.Process(pid) for pid in _servers_of(prefect_home)], timeout=30)
    assert _servers_of(prefect_home) == []
    if not killed:
        with closing(sqlite3.connect(prefect_home / "prefect.db")) as database:
            task_runs = database.execute("SELECT name, state_name FROM task_run ORDER BY name").fetchall()
        assert [(name.rpartition("-")[0], state) for name, state in task_runs] == [
            ("download corpus", "Completed"),
            ("download encoder", "Completed"),
        ]


def test_the_users_own_file_trains_from_end_to_end(nli_here: Nli, tiny_encoder: Path, workplace: Path) -> None:
    rows = [
        f'"{"good" if place % 2 else "bad"} a{"b" * (place % 7)} c",{"yes" if place % 2 else "no"}'
        for place in range(200)
    ]
    (workplace / "mine.csv").write_text("text,class\n" + "\n".join(rows) + "\n")
    fields = {"corpus.train": "mine.csv", "corpus.label": "class", "corpus.labels": "[no, yes]"}
    fields |= {"finetune.epochs": "6", "finetune.batch_size": "8", "finetune.learning_rate": "0.003"}
    fields |= {"encoder.name": str(tiny_encoder)}
    settings = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    done = nli_here("run", "file-example", *settings, "--json")
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout.splitlines()[-1])["metrics"]
    assert metrics["test/examples"] == 20
    assert metrics["test/accuracy"] > 0.9


@pytest.mark.slow
def test_a_run_is_repeated_from_mlflow_and_what_differs_is_said(
    finished_run: RunSummary, nli_here: Nli, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = str(finished_run.mlflow_run_id)
    again = nli_here("run", "--from-mlflow", run_id, "--json")
    assert again.returncode == 0, again.stderr
    assert "Same code, versions and hardware as then." in again.stderr
    repeated = json.loads(again.stdout.splitlines()[-1])
    assert {stage["state"] for stage in repeated["outputs"].values()} == {"Cached"}

    monkeypatch.setenv("NLI_STORE", str(workplace / "elsewhere" / "store"))
    (repeat,) = workplace.rglob("repeat.json")
    repeat.write_text(repeat.read_text().replace('"polars": "', '"polars": "0.'))
    elsewhere = nli_here("run", "--from-mlflow", run_id, "--json")
    assert re.search(r"^polars +0\.", elsewhere.stderr, re.MULTILINE)
    found = json.loads(elsewhere.stdout.splitlines()[-1])
    assert {stage["state"] for stage in found["outputs"].values()} == {"Completed"}
    assert found["metrics"] == finished_run.metrics


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["run"], "name one recipe"), (["run", "sample", "--from-mlflow", "1"], "leave out sample")],
)
def test_a_recipe_or_a_run_is_named(nli_here: Nli, arguments: list[str], named: str) -> None:
    done = nli_here(*arguments)
    assert done.returncode == 2
    assert named in done.stderr


def test_a_run_that_is_not_there_cannot_be_repeated(nli_here: Nli) -> None:
    done = nli_here("run", "--from-mlflow", "0" * 32)
    assert done.returncode == 2
    assert "no run of this id" in done.stderr
    assert "Traceback" not in done.stderr
