"""The Prefect and MLflow UIs, on loopback, until Ctrl-C."""

import signal
import time
from collections.abc import Callable

from flows.servers import prefect_server, running
from nli_core.errors import UserError
from tasks.settings import Settings

_TRAININGS = "/#/experiments?workflowType=machine_learning"  # and not language models and their prompts


def serve(settings: Settings, *, prefect_port: int, mlflow_port: int, say: Callable[[str], object] = print) -> None:
    """Start both servers, say where they are once they answer, and wait.

    Raises:
        UserError: a server ended by itself or did not answer in time.
    """
    settings.store.root.parent.mkdir(parents=True, exist_ok=True)
    mlflow = ["mlflow", "server", "--workers", "1", "--backend-store-uri", settings.tracking_uri]
    if settings.artifacts:
        mlflow += ["--default-artifact-root", settings.artifacts]
    # A terminal's Ctrl-C raises KeyboardInterrupt; a plain `kill` is to stop the servers just as well.
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with prefect_server(port=prefect_port) as first, running("MLflow", mlflow, mlflow_port, "/health") as second:
            for server, page in ((first, ""), (second, _TRAININGS)):
                server.wait_until_healthy()
                say(f"{server.name}: {server.address}{page}")
            say("Ctrl-C stops both.")
            while first.process.poll() is None and second.process.poll() is None:
                time.sleep(0.5)
            raise UserError("one of the two UIs ended by itself; is its port in use? Choose others with nli ui --help")
    except KeyboardInterrupt:
        say("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, earlier)
