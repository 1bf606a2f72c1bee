"""Several machines and one bucket: each machine has a store and a tracking database of its own."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from flows.pipeline import RunSummary
from flows.stages import evaluate_stage
from nli_core.hashing import folder_digests
from nli_core.remote.bucket import Bucket
from nli_core.run.config import RunConfig
from nli_core.store.manifest import FileRecord
from nli_core.store.store import Store
from tasks.settings import REMOTE

pytestmark = pytest.mark.faults("faults injected")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]
Machine = Callable[[str], Path]


@pytest.fixture
def machine(tmp_path: Path, empty_tracking_database: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Goes on as another machine, whose store is empty at first; gives its store."""

    def go_on(name: str) -> Path:
        folder = tmp_path / name
        if not folder.exists():
            folder.mkdir()
            shutil.copyfile(empty_tracking_database, folder / "mlflow.db")
        monkeypatch.setenv("NLI_STORE", str(folder / "store"))
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
        return folder / "store"

    return go_on


@pytest.fixture
def bucket(s3: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """The bucket behind all stores."""
    monkeypatch.setenv(REMOTE, s3)
    monkeypatch.setattr("nli_core.remote.bucket._RETRIES", 0)
    return Bucket(s3, setting=REMOTE)


def _states(summary: RunSummary) -> list[str]:
    return [stage.state_name for stage in summary.outputs.values()]


@pytest.mark.slow
def test_what_one_machine_finished_another_one_pulls(
    finished_run: RunSummary,
    run_pipeline: Callable[..., RunSummary],
    nli_here: Nli,
    tiny_settings: list[str],
    tiny_config: Callable[..., RunConfig],
    bucket: Bucket,
    machine: Machine,
) -> None:
    assert "pushed finetune/" in nli_here("store", "push").stdout
    assert nli_here("store", "push").stdout.startswith(f"nothing to push: {bucket.address} has every output")
    listed = json.loads(nli_here("store", "ls", "--json").stdout)["outputs"]
    remote = json.loads(nli_here("store", "ls", "--remote", "--json").stdout)["outputs"]
    assert [{**each, "path": ""} for each in remote] == [{**each, "path": ""} for each in listed]

    store = machine("second")
    explained = nli_here("run", "sample", *tiny_settings, "--explain").stdout
    assert [line.split()[1] for line in explained.splitlines()[1:6]] == ["pulled"] * 5
    assert not list(store.glob("*/*"))
    pulled = json.loads(nli_here("run", "sample", *tiny_settings, "--json").stdout.splitlines()[-1])
    assert [stage["state"] for stage in pulled["outputs"].values()] == ["Pulled"] * 6
    assert pulled["metrics"] == finished_run.metrics
    assert Store(store).damages() == Store(store).leftovers() == []
    assert run_pipeline().metrics == finished_run.metrics
    assert _states(run_pipeline()) == ["Cached"] * 6

    machine("third")
    assert evaluate_stage(tiny_config(), recipe="tiny").metrics == finished_run.metrics

    assert nli_here("store", "verify", "--remote").stdout == "6 outputs, all as their manifests say\n"
    assert nli_here("store", "prune", "--remote", "--all", "--delete").stdout == "nothing to prune\n"
    bucket.delete([next(bucket.entries("blobs")).name])
    broken = nli_here("store", "verify", "--remote")
    assert (broken.returncode, "is missing" in broken.stdout) == (2, True)
    machine("second")
    assert nli_here("store", "push").stdout.count("pushed ") == 1
    assert nli_here("store", "verify", "--remote").returncode == 0


@pytest.mark.slow
def test_a_run_without_its_bucket_completes_and_is_pushed_later(
    finished_run: RunSummary,
    run_pipeline: Callable[..., RunSummary],
    bucket: Bucket,
    machine: Machine,
    logged: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine("second")
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        summary = run_pipeline()
    assert sum("(the bucket did not answer before)" in line for line in logged) == 11  # it is asked once
    monkeypatch.setattr("tasks.runtime.sharing._AWAY_UNTIL", {})
    assert _states(summary) == ["Completed"] * 6
    assert summary.metrics == finished_run.metrics
    assert sum("not pushed; a later run pushes it" in line for line in logged) == 6
    assert not any("test-key" in line or "test-secret" in line for line in logged)
    assert list(bucket.entries("outputs")) == []
    assert _states(run_pipeline()) == ["Cached"] * 6
    assert len(list(bucket.entries("outputs"))) == 6
    machine("third")
    assert _states(run_pipeline()) == ["Pulled"] * 6


def test_a_damaged_output_is_pulled_again(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], nli_here: Nli, bucket: Bucket, workplace: Path
) -> None:
    nli_here("store", "push")
    (model,) = (workplace / "store").glob("finetune/*/model/model.safetensors")
    model.write_bytes(b"damaged")
    assert _states(run_pipeline()) == ["Cached", "Cached", "Cached", "Cached", "Pulled", "Cached"]
    assert Store(workplace / "store").damages() == []


@pytest.mark.slow
def test_a_damaged_bucket_is_mended_by_the_next_run(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], nli_here: Nli, bucket: Bucket, machine: Machine
) -> None:
    nli_here("store", "push")
    shards = finished_run.outputs["pack"].output.manifest.files
    digest = next(record.sha256 for name, record in shards.items() if name.startswith("train-"))
    bucket.write(f"blobs/{digest}", b"altered")
    machine("second")
    assert _states(run_pipeline()) == ["Pulled", "Pulled", "Completed", "Pulled", "Pulled", "Pulled"]
    machine("third")
    assert _states(run_pipeline()) == ["Pulled"] * 6


@pytest.mark.slow
def test_the_loser_of_a_race_takes_the_winners_model(
    finished_run: RunSummary, run_pipeline: Callable[..., RunSummary], nli_here: Nli, bucket: Bucket, machine: Machine
) -> None:
    """The winner is another machine, whose arithmetic differs, and which was first between our look and our push."""
    nli_here("store", "push")
    first = finished_run.outputs["finetune"].output
    name = f"outputs/finetune/{first.key}.json"
    curves = (first.folder / "history.jsonl").read_bytes().splitlines(keepends=True)[0]
    record = FileRecord(size=len(curves), sha256=hashlib.sha256(curves).hexdigest())
    files = {**first.manifest.files, "history.jsonl": record}
    other = first.manifest.model_copy(update={"files": files}).sealed()
    bucket.write(f"blobs/{record.sha256}", curves)
    store = machine("second")

    def win(*_: Any) -> None:
        bucket.write(name, other.model_dump_json(by_alias=True).encode())

    bucket.delete([name])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tasks.runtime.mirror.CheckpointMirror.__exit__", win)
        summary = run_pipeline(until="finetune")
    assert summary.outputs["finetune"].state_name == "Completed"
    assert (summary.outputs["finetune"].output.folder / "history.jsonl").read_bytes() == curves
    assert summary.outputs["finetune"].output.manifest == other
    assert Store(store).damages() == Store(store).leftovers() == []


def test_doctor_tries_the_bucket(nli_here: Nli, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    def said() -> list[dict[str, str]]:
        findings = json.loads(nli_here("doctor", "sample", "--json").stdout.splitlines()[-1])["findings"]
        return [each for each in findings if each["what"] == "bucket"]

    assert [(each["verdict"], each["found"]) for each in said()] == [
        ("ok", f"{bucket.address} can be read and written")
    ]
    assert list(bucket.entries("probes")) == []
    monkeypatch.setattr("tasks.operations.doctor._MOST_SKEW_SECONDS", -1)
    assert "set this machine's clock" in said()[0]["remedy"]
    monkeypatch.setenv(REMOTE, "s3://no-such-bucket/nli")
    assert (said()[0]["verdict"], "there is no such bucket" in said()[0]["found"]) == ("error", True)


@pytest.mark.slow
def test_corpora_and_predictions_may_be_in_a_bucket(
    finished_run: RunSummary,
    nli_here: Nli,
    tiny_encoder: Path,
    tiny_settings: list[str],
    bucket: Bucket,
    workplace: Path,
) -> None:
    rows = "".join(f"a girl is {word},{word}\n" for word in ("here", "away") * 40)
    bucket.write("data/rows.csv", f"text,label\n{rows}".encode())
    fields = {
        "corpus.train": f"{bucket.address}/data/rows.csv",
        "corpus.premise": "text",
        "corpus.labels": "[here, away]",
        "encoder.name": str(tiny_encoder),
        "finetune.epochs": "1",
    }
    command = ["run", "file-example", *(word for field in fields.items() for word in ("--set", "=".join(field)))]
    done = nli_here(*command, "--json")
    assert done.returncode == 0, done.stderr
    (manifest,) = (
        text
        for path in (workplace / "store" / "corpus").glob("*/manifest.json")
        if bucket.address in (text := path.read_text())
    )
    entry = bucket.entry("data/rows.csv")
    assert entry is not None
    assert (
        json.loads(manifest)["ingredients"]["corpus"]["train"]["contents"] == f"etag {entry.etag}, {entry.size} bytes"
    )
    assert json.loads(manifest)["facts"]["files"]["train"] == fields["corpus.train"]
    bucket.write("data/rows.csv", f"text,label\n{rows}a girl is gone,gone\n".encode())
    changed = nli_here(*command)
    assert f"{fields['corpus.train']}, line 82: the label 'gone'" in changed.stderr.splitlines()[-1]

    bucket.write("pairs.csv", b"premise,hypothesis\na girl is here,a child is here\na girl is here,\n")
    model = str(finished_run.mlflow_run_id)
    source, target = f"{bucket.address}/pairs.csv", f"{bucket.address}/out/labels.parquet"
    predict = ["predict", "--model", model, "--input", source, "--output", target]
    refused = nli_here(*predict)
    assert f"nli: {source}, line 3: has no text" in refused.stderr.splitlines()[-1]
    bucket.write("pairs.csv", b"premise,hypothesis\na girl is here,a child is here\n")
    bucket.write("data/rows.csv.gz", b"")
    done = nli_here(*predict)
    assert done.returncode == 0, done.stderr
    (row,) = pl.read_parquet(io.BytesIO(bucket.read("out/labels.parquet") or b"")).to_dicts()
    assert row["row"] == 0
    assert list((workplace / "predictions").iterdir()) == []
    for option, address, named in (
        ("--input", f"{bucket.address}/none.csv", "there is no s3://"),
        ("--input", "s3://no-such-bucket/rows.csv", "s3://no-such-bucket: there is no such bucket"),
        ("--output", "s3://no-such-bucket/rows.parquet", "s3://no-such-bucket: there is no such bucket"),
        ("--input", f"{bucket.address}/data/rows.csv.gz", f"{bucket.address}/data/rows.csv.gz: is compressed"),
        ("--output", f"{bucket.address}/labels.txt", "ends in .parquet"),
        ("--input", target, "is the input; name another file"),
        ("--output", "s3://x.parquet", "names no file"),
    ):
        wrong = nli_here(*predict, option, address)
        assert wrong.returncode == 2
        assert named in wrong.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_machine_that_dies_is_replaced_by_another(
    prefect_server: str,
    run_pipeline: Callable[..., RunSummary],
    tiny_settings: list[str],
    bucket: Bucket,
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fields = {"epochs": 12, "batch_size": 2, "log_every": 20, "checkpoint_every": 20}
    with monkeypatch.context() as alone:
        machine("undisturbed")
        alone.delenv(REMOTE)
        expected = run_pipeline(finetune=fields).outputs["finetune"].output.folder

    store = machine("spot")
    command = [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings]
    command += [word for name, value in fields.items() for word in ("--set", f"finetune.{name}={value}")]
    environment = {**os.environ, "PREFECT_API_URL": prefect_server, "NLI_REMOTE_MINUTES": "0"}
    with subprocess.Popen(command, start_new_session=True, env=environment, stderr=subprocess.PIPE, text=True) as run:
        assert run.stderr is not None
        mirrored = 0
        for line in run.stderr:
            mirrored += "finetune: mirrored step-" in line
            if mirrored == 2:
                break
        os.killpg(run.pid, signal.SIGKILL)
    shutil.rmtree(store.parent)
    assert list(bucket.entries("outputs/finetune")) == []

    store = machine("another")
    started = time.monotonic()
    resumed = run_pipeline(finetune=fields).outputs
    assert time.monotonic() > started
    states = {kind: stage.state_name for kind, stage in resumed.items()}
    assert states.pop("audit") in ("Pulled", "Completed")  # it ran beside the training, and may have ended before it
    assert list(states.values()) == ["Pulled"] * 3 + ["Completed"] * 2
    assert folder_digests(resumed["finetune"].output.folder / "model") == folder_digests(expected / "model")
    history = "history.jsonl"
    assert (resumed["finetune"].output.folder / history).read_bytes() == (expected / history).read_bytes()
    assert list(bucket.entries("checkpoints")) == []
    assert not list(store.glob("finetune/*/.scratch"))
