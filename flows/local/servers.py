"""Servers that live as long as a command: started in the background, awaited when needed, stopped at its end."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.error import URLError
from urllib.request import urlopen

from nli_core.errors import UserError
from nli_core.paths import user_path

HOST = "127.0.0.1"
_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Server:
    """A running server process and its address."""

    name: str
    address: str
    health_path: str
    process: "subprocess.Popen[bytes]"

    def wait_until_healthy(self) -> None:
        """Return once the server answers.

        Raises:
            UserError: it ended by itself, since its port is in use or not, or did not answer in time.
        """
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up and self.process.poll() is None:
            with contextlib.suppress(URLError, OSError), urlopen(self.address + self.health_path, timeout=2):
                if self.process.poll() is None:
                    return
            time.sleep(0.03)
        port = int(self.address.rpartition(":")[2])
        if self.process.poll() is not None and port_is_taken(port):
            raise UserError(f"{self.name}: another program has taken port {port} meanwhile; choose another")
        by_hand = {"Prefect": "prefect server start", "MLflow": "mlflow server"}[self.name]
        raise UserError(f"{self.name} did not start at {self.address}; start it by hand (`{by_hand}`) to see why")

    def stop(self) -> None:
        """Stop the server and its own children, which live in a session of their own. Ctrl-C meanwhile kills them."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def running(
    name: str,
    module_arguments: Sequence[str],
    port: int,
    health_path: str,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """Start a server as `python -m ...` on loopback; it may not be healthy yet when the block starts.

    `environment` is what it finds in its environment besides this process'.
    """
    command = [sys.executable, "-m", *module_arguments, "--host", HOST, "--port", str(port)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,
    )
    server = Server(name, f"http://{HOST}:{port}", health_path, process)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def prefect_server(*, temporary: bool = False, port: int | None = None) -> Iterator[Server]:
    """Start a Prefect server for loopback, over the user's own Prefect database; without `port`, at a free port.

    A temporary one records the runs of one command; it has no pages, and schedules and cleans up nothing.
    """
    home = user_path(os.environ.get("PREFECT_HOME", "~/.prefect"))
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{home}: cannot be Prefect's folder ({error.strerror}); set PREFECT_HOME") from None
    port = port or free_port()
    its_own = {
        "PREFECT_SERVER_UI_API_URL": f"http://{HOST}:{port}/api",  # its pages ask port 4200 otherwise
        "PREFECT_SERVER_UI_ENABLED": str(not temporary).lower(),
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://{HOST}:{port},http://localhost:{port}",
    }
    arguments = ["flows.local.prefect_app", *(["--temporary"] if temporary else [])]
    with running("Prefect", arguments, port, "/api/health", its_own) as server:
        yield server


def _die_with_parent() -> None:
    """Ask the kernel, in the child, for SIGTERM once the parent is dead, even if SIGKILL ended it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def free_port() -> int:
    """Find a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        return int(free.getsockname()[1])


def port_is_taken(port: int) -> bool:
    """Return whether somebody listens on this port of loopback."""
    with socket.socket() as asking:
        return asking.connect_ex((HOST, port)) == 0
