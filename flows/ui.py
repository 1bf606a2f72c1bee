"""The Prefect and MLflow UIs, on loopback, until Ctrl-C."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from urllib.error import URLError
from urllib.request import urlopen

from nli_core.errors import UserError
from tasks.settings import Settings

_HOST = "127.0.0.1"
_START_SECONDS = 60.0


def serve(settings: Settings, *, prefect_port: int, mlflow_port: int, say: Callable[[str], object] = print) -> None:
    """Start both servers, say where they are once they answer, and wait.

    Raises:
        UserError: a server ended by itself or did not answer in time.
    """
    settings.store.root.parent.mkdir(parents=True, exist_ok=True)
    prefect_command = ["prefect", "server", "start", "--host", _HOST, "--port", str(prefect_port)]
    mlflow_command = ["mlflow", "server", "--host", _HOST, "--port", str(mlflow_port), "--workers", "1"]
    mlflow_command += ["--backend-store-uri", settings.tracking_uri]
    if settings.artifacts:
        mlflow_command += ["--default-artifact-root", settings.artifacts]
    servers = {
        f"http://{_HOST}:{prefect_port}": (_start(prefect_command), "Prefect", "/api/health"),
        f"http://{_HOST}:{mlflow_port}": (_start(mlflow_command), "MLflow", "/health"),
    }
    # A terminal's Ctrl-C raises KeyboardInterrupt; a plain `kill` is to stop the servers just as well.
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for address, (process, name, path) in servers.items():
            _wait_until_healthy(process, name, address + path)
            say(f"{name}: {address}")
        say("Ctrl-C stops both.")
        while all(process.poll() is None for process, _, _ in servers.values()):
            time.sleep(0.5)
        raise UserError("one of the two UIs ended by itself; is its port in use? Choose others with nli ui --help")
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, earlier)
        for process, _, _ in servers.values():
            _stop(process)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    arguments = [sys.executable, "-m", *command]
    return subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def _wait_until_healthy(process: subprocess.Popen[bytes], name: str, address: str) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and process.poll() is None:
        with contextlib.suppress(URLError, OSError), urlopen(address, timeout=2):
            if process.poll() is None:
                return
        time.sleep(0.2)
    raise UserError(f"{name} did not start at {address}; is the port in use? Choose another with nli ui --help")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and its own children, which live in a session of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
