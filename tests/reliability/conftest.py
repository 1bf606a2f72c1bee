"""What tests of faults share: a tracking server that can be killed, and the list of processes."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from flows.local.servers import free_port


class MlflowServer:
    """A real tracking server that can be killed and started again over the same database."""

    def __init__(self, folder: Path) -> None:
        self._processes: list[subprocess.Popen[bytes]] = []
        self.address = f"http://127.0.0.1:{free_port()}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--host", "127.0.0.1"]
        self._command += ["--port", self.address.rpartition(":")[2], "--artifacts-destination", str(folder / "served")]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]

    @contextmanager
    def running(self) -> Iterator[None]:
        """Up within the block, unless it is killed."""
        server = subprocess.Popen(
            self._command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self._processes.append(server)
        try:
            while True:
                assert server.poll() is None
                try:
                    requests.get(f"{self.address}/health", timeout=5).raise_for_status()
                    break
                except requests.RequestException:
                    time.sleep(0.1)
            yield
        finally:
            self.kill()

    def kill(self) -> None:
        """End whatever runs of it, children and all."""
        while self._processes:
            server = self._processes.pop()
            os.killpg(server.pid, signal.SIGKILL)
            server.wait()


@pytest.fixture
def mlflow_server(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowServer:
    """The tracking server of this test, which is not running yet; user name and password mean nothing to it."""
    server = MlflowServer(workplace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address.replace("//", "//me:tracking-secret@"))
    return server


@pytest.fixture
def arguments_seen() -> Iterator[set[str]]:
    """The arguments of all processes that run during the test, which everybody on the machine can read."""
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            for process in psutil.process_iter(["cmdline"]):
                seen.add(" ".join(process.info["cmdline"] or ()))

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    done.set()
    thread.join()


@pytest.fixture
def without_rights() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a command as a user who may not read and write where the permissions forbid it, even as root."""
    rights = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--inh-caps={rights}", f"--bounding-set={rights}"] if os.geteuid() == 0 else []

    def run(command: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*drop, *command], capture_output=True, text=True, check=False, **options)

    return run
