"""What tests of faults share: the address of a tracking server, and the list of processes."""

import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.fixtures.mlflow_server import MlflowServer


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
