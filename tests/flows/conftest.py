import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from flows.pipeline import RunSummary, pipeline
from flows.servers import free_port
from nli_core.config import RunConfig, Stage


@pytest.fixture
def run_pipeline(
    prefect_server: str, workplace: Path, tiny_config: Callable[..., RunConfig]
) -> Callable[..., RunSummary]:
    """Runs the pipeline on the tiny config; sections can be overridden."""

    def run(
        *,
        rerun: list[Stage] | None = None,
        until: Stage = "evaluate",
        promote_as: str | None = None,
        **sections: dict[str, Any],
    ) -> RunSummary:
        config = tiny_config(**sections)
        return pipeline(config, recipe="tiny", rerun=rerun, until=until, promote_as=promote_as)

    return run


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
def tiny_settings(tiny_encoder: Path) -> list[str]:
    """Arguments that make the recipe `sample` a run of seconds."""
    values = {
        "corpus.pairs": 360,
        "encoder.name": str(tiny_encoder),
        "finetune.epochs": 2,
        "finetune.precision": "fp32",
        "finetune.log_every": 4,
        "evaluate.precision": "fp32",
    }
    return [word for name, value in values.items() for word in ("--set", f"{name}={json.dumps(value)}")]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What a webhook is told."""
    messages: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("NLI_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hook")
    yield messages
    server.shutdown()
    thread.join()
    server.server_close()
