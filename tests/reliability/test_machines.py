"""Machines that change under a run: their clock, memory, files and rights."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from flows.pipeline import RunSummary

pytestmark = pytest.mark.faults("faults injected")

Nli = Callable[..., "subprocess.CompletedProcess[str]"]
AWAY_SECONDS = float(os.environ.get("NLI_AWAY_SECONDS", "5"))
LONGER = {"epochs": 40, "checkpoint_every": 3}
CGROUPS = Path("/sys/fs/cgroup")


def _command(tiny_settings: list[str], **finetune: int) -> list[str]:
    settings = [word for name, value in finetune.items() for word in ("--set", f"finetune.{name}={value}")]
    return [str(Path(sys.executable).with_name("nli")), "run", "sample", *tiny_settings, *settings, "--json"]


@pytest.fixture
def longer_training(
    prefect_server: str,
    workplace: Path,
    tiny_settings: list[str],
    run_pipeline: Callable[..., RunSummary],
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[RunSummary, list[str], Path]:
    """An undisturbed training's summary, and the command that trains the same in another store."""
    undisturbed, store = run_pipeline(finetune=LONGER), workplace / "another" / "store"
    monkeypatch.setenv("NLI_STORE", str(store))
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    return undisturbed, _command(tiny_settings, **LONGER), store


@pytest.mark.slow
def test_a_clock_that_jumps_changes_no_result(
    finished_run: RunSummary,
    run_pipeline: Callable[..., RunSummary],
    workplace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, jumps = time.time, itertools.cycle([0, 86_400, -86_400, 3_600])
    monkeypatch.setenv("NLI_STORE", str(workplace / "another" / "store"))
    with monkeypatch.context() as patched:
        patched.setattr(time, "time", lambda: now() + next(jumps))
        jumpy = run_pipeline(rerun=["finetune"])
    assert {result.state_name for result in jumpy.outputs.values()} == {"Completed"}
    assert jumpy.metrics == finished_run.metrics
    client = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}")
    series = [
        [(point.step, point.value) for point in client.get_metric_history(str(run.mlflow_run_id), "train/loss")]
        for run in (jumpy, finished_run)
    ]
    assert sorted(series[0]) == sorted(series[1])


def test_a_copied_store_holds_the_same_outputs(
    finished_workplace: Path, workplace: Path, run_pipeline: Callable[..., RunSummary]
) -> None:
    shutil.copytree(finished_workplace / "store", workplace / "store")
    summary = run_pipeline()
    assert {result.state_name for result in summary.outputs.values()} == {"Cached"}
    run = MlflowClient(f"sqlite:///{workplace / 'mlflow.db'}").get_run(str(summary.mlflow_run_id))
    assert (run.info.status, run.data.metrics["test/accuracy"]) == ("FINISHED", summary.metrics["test/accuracy"])


@pytest.mark.slow
@pytest.mark.timeout(300 + AWAY_SECONDS)
def test_a_suspended_training_continues(
    longer_training: tuple[RunSummary, list[str], Path],
) -> None:
    expected, command, store = longer_training
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        _wait_for_a_checkpoint(running, store)
        running.send_signal(signal.SIGSTOP)
        time.sleep(AWAY_SECONDS)
        running.send_signal(signal.SIGCONT)
        told, complaints = running.communicate(timeout=200)
    assert running.returncode == 0, complaints
    assert json.loads(told.splitlines()[-1])["metrics"] == expected.metrics


def _wait_for_a_checkpoint(running: "subprocess.Popen[str]", store: Path) -> None:
    while not list(store.glob("finetune/*.partial/checkpoints/*/position.json")):
        assert running.poll() is None
        time.sleep(0.01)


@contextmanager
def _memory_group() -> Iterator[Path]:
    """A new memory cgroup, of the first or the second kind."""
    group = next(place for place in (CGROUPS / "memory", CGROUPS) if place.is_dir()) / f"nli-tests-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no cgroup can be made here: {error.strerror}")
    try:
        yield group
    finally:
        for _ in range(50):
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


@pytest.mark.slow
def test_a_training_that_the_kernel_kills_resumes(
    nli_here: Nli, longer_training: tuple[RunSummary, list[str], Path]
) -> None:
    expected, command, store = longer_training
    with _memory_group() as group:
        limit, used = (
            (group / "memory.max", group / "memory.current")
            if (group / "memory.max").exists()
            else (group / "memory.limit_in_bytes", group / "memory.usage_in_bytes")
        )
        entering = ["sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh", *command]
        with subprocess.Popen(entering, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as running:
            _wait_for_a_checkpoint(running, store)
            limit.write_text(str(int(used.read_text()) + 2**20))
            running.communicate(timeout=200)
    assert running.returncode == -signal.SIGKILL
    done = nli_here(*command[1:])
    assert done.returncode == 0, done.stderr
    assert "for lack of memory" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["metrics"] == expected.metrics


@pytest.mark.slow
@pytest.mark.parametrize(
    "around",
    [
        pytest.param('ulimit -n 64; exec "$@"', id="few open files"),
        pytest.param('mount -t tmpfs -o ro none /dev/shm && exec "$@"', id="no shared memory"),
    ],
)
def test_a_run_succeeds_with_little(
    prefect_server: str, workplace: Path, tiny_settings: list[str], monkeypatch: pytest.MonkeyPatch, around: str
) -> None:
    if "mount" in around and os.geteuid() != 0:
        pytest.skip("mounting takes rights that this user has not")
    monkeypatch.setenv("PREFECT_API_URL", prefect_server)
    within = ["unshare", "--mount"] if "mount" in around else []
    command = [*within, "bash", "-c", around, "bash", *_command(tiny_settings)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_store_that_can_only_be_read_serves_readers(
    finished_run: RunSummary, workplace: Path, without_rights: Callable[..., Any], prefect_server: str
) -> None:
    for path in [workplace / "store", *(workplace / "store").rglob("*")]:
        path.chmod(path.stat().st_mode & ~0o222)
    environment = {**os.environ, "PREFECT_API_URL": prefect_server}
    nli = str(Path(sys.executable).with_name("nli"))
    pair = ["--premise", "A girl sleeps.", "--hypothesis", "A child sleeps."]
    for words in (["status"], ["store", "ls"], ["predict", "--model", str(finished_run.mlflow_run_id), *pair]):
        done = without_rights([nli, *words], env=environment, cwd=workplace)
        assert done.returncode == 0, done.stderr
    refused = without_rights([nli, "run", "sample"], env=environment, cwd=workplace)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
