"""What a team shares: Prefect, MLflow and studies on PostgreSQL, files on S3, by environment variables alone."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

from flows.local.servers import free_port, prefect_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
NAME = "tracking.team.example"
_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


@contextmanager
def _running(command: list[str], answers: Callable[[], bool], **options: Any) -> Iterator[None]:
    with tempfile.TemporaryFile() as said, subprocess.Popen(command, stdout=said, stderr=said, **options) as server:
        try:
            while not answers():
                if server.poll() is not None:
                    said.seek(0)
                    raise AssertionError(said.read().decode())
                time.sleep(0.2)
            yield
        finally:
            server.terminate()


def _get(address: str) -> bool:
    try:
        return requests.get(address, timeout=2).ok
    except requests.RequestException:
        return False


@pytest.fixture
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a new PostgreSQL server with databases for all three, whose user needs a password."""
    if _POSTGRES is None:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    # PostgreSQL does not run as root.
    user = "nobody" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = tmp_path_factory.mktemp("postgres")
    shutil.chown(folder, user)
    for parent in [folder, *folder.parents][:-2]:
        parent.chmod(parent.stat().st_mode | 0o011)
    options: dict[str, Any] = {"user": user, "cwd": folder} if os.getuid() == 0 else {"cwd": folder}
    (folder / "password").write_text("team-secret")
    (folder / "password").chmod(0o644)
    making = [f"{_POSTGRES}/initdb", "-D", "data", "-U", "nli", "-A", "scram-sha-256", "--pwfile", "password"]
    subprocess.run(making, check=True, **_QUIET, **options)
    port = str(free_port())
    environment = {**os.environ, "PGPASSWORD": "team-secret"}
    place = ["-h", "127.0.0.1", "-p", port, "-U", "nli"]

    def answers() -> bool:
        asked = [f"{_POSTGRES}/psql", *place, "-c", "select 1", "postgres"]
        return subprocess.run(asked, env=environment, check=False, **_QUIET).returncode == 0

    with _running([f"{_POSTGRES}/postgres", "-D", "data", "-p", port, "-k", str(folder)], answers, **options):
        for name in ("prefect", "mlflow", "studies"):
            subprocess.run([f"{_POSTGRES}/createdb", *place, name], env=environment, check=True)
        yield f"nli:team-secret@127.0.0.1:{port}"


def _objects(bucket: str) -> list[str]:
    name, _, prefix = bucket.removeprefix("s3://").partition("/")
    found = boto3.client("s3").list_objects_v2(Bucket=name, Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


def _knowing(name: str, folder: Path) -> list[str]:
    """What starts a command that finds this machine by a name, from a file of hosts of its own."""
    if os.geteuid() != 0:
        pytest.skip("giving a process another /etc/hosts takes rights that this user has not")
    (folder / "hosts").write_text(f"127.0.0.1 localhost {name}\n")
    return ["unshare", "--mount", "sh", "-c", f'mount --bind {folder}/hosts /etc/hosts && exec "$@"', "sh"]


def _open_the_ui(folder: Path) -> None:
    command = [str(Path(sys.executable).with_name("nli")), "ui"]
    command += ["--prefect-port", str(free_port()), "--mlflow-port", str(free_port())]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as shown:
        assert shown.stdout is not None
        assert [shown.stdout.readline().split(":")[0] for _ in range(2)] == ["Prefect", "MLflow"]
        shown.terminate()


@pytest.mark.parametrize("tracking", ["server", "database"])
def test_a_run_is_tracked_by_servers_on_postgresql_and_s3(
    workplace: Path,
    postgres: str,
    s3: str,
    tracking: str,
    tiny_settings: list[str],
    arguments_seen: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_name = _knowing(NAME, workplace) if tracking == "server" else []
    monkeypatch.setenv("PREFECT_HOME", str(workplace / "prefect"))
    monkeypatch.setenv("NLI_STUDIES", f"postgresql://{postgres}/studies")
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", f"postgresql+asyncpg://{postgres}/prefect")
    with ExitStack() as ends:
        prefect = ends.enter_context(prefect_server())
        prefect.wait_until_healthy()
        monkeypatch.delenv("PREFECT_API_DATABASE_CONNECTION_URL")
        monkeypatch.setenv("PREFECT_API_URL", f"{prefect.address}/api")
        if tracking == "server":
            port = str(free_port())
            command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", port]
            command += ["--host", "0.0.0.0", "--allowed-hosts", f"{NAME}:{port}", "--artifacts-destination", s3]
            monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"postgresql://{postgres}/mlflow")
            ends.enter_context(_running(command, lambda: _get(f"http://127.0.0.1:{port}/health"), cwd=workplace))
            monkeypatch.delenv("MLFLOW_BACKEND_STORE_URI")
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://{NAME}:{port}")
        else:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", f"postgresql://{postgres}/mlflow")
            monkeypatch.setenv("NLI_ARTIFACTS", s3)

        def nli(*words: str) -> "subprocess.CompletedProcess[str]":
            command = [*with_name, str(Path(sys.executable).with_name("nli")), *words]
            done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert "team-secret" not in done.stdout + done.stderr
            return done

        nli("run", "sample", *tiny_settings, "--promote-as", "nli-sample")
        assert "Nothing to do" in nli("run", "sample", *tiny_settings).stdout
        shown = nli("predict", "--premise", "a girl is here", "--hypothesis", "a child is here").stdout
        assert "entailment" in shown
        nli("doctor", "sample", *tiny_settings)
        swept = nli(
            "sweep", "sample", *tiny_settings, "--search", "finetune.epochs=1,2", "--trials", "2", "--jobs", "2"
        )
        assert "Chosen by the mean on dev" in swept.stdout
        if tracking == "database":
            _open_the_ui(workplace)
        runs = requests.post(f"{prefect.address}/api/flow_runs/filter", json={}, timeout=30).json()
        assert [run["state_name"] for run in runs] == ["Completed"] * 5  # two runs, the sweep and its two
    assert any("mlflow server" in arguments for arguments in arguments_seen)
    assert not [arguments for arguments in arguments_seen if "team-secret" in arguments]
    found = _objects(s3)
    assert any(name.endswith("model.safetensors") for name in found)
    assert any(name.endswith("predictions-test.parquet") for name in found)
    assert not (workplace / "mlartifacts").exists()
    assert not (workplace / "studies.db").exists()
