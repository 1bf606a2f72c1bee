"""`nli ui`: the Prefect and MLflow UIs on loopback, until Ctrl-C."""

import signal
import time
from typing import Annotated

import typer

from flows.cli.output import echo
from flows.local.environment import set_library_defaults
from flows.local.servers import port_is_taken, prefect_server, running
from nli_core.errors import UserError
from tasks.settings import Settings
from tasks.tracking.tags import EXPERIMENT, PAGES, VIEW


def ui(
    prefect_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of Prefect's UI.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of MLflow's UI.")] = 5000,
) -> None:
    """Start the Prefect and MLflow UIs on loopback; Ctrl-C stops both.

    Example: nli ui
    """
    set_library_defaults()
    _serve(Settings.from_environment(), prefect_port, mlflow_port)


def _page_of_runs(mlflow: str) -> str:
    """Return the page of our runs in the saved view; of all experiments before the first run."""
    import httpx

    address = f"{mlflow}/api/2.0/mlflow/experiments/get-by-name"
    try:
        found = httpx.get(address, params={"experiment_name": EXPERIMENT}, timeout=30).raise_for_status()
    except httpx.HTTPError:
        return f"/#/experiments{PAGES}"
    number = found.json()["experiment"]["experiment_id"]
    return f"/#/experiments/{number}/runs{PAGES}&viewStateShareKey={VIEW}"


def _serve(settings: Settings, prefect_port: int, mlflow_port: int) -> None:
    """Start both servers, print their addresses once they answer, and wait.

    Raises:
        UserError: a port is in use, or a server ended by itself or did not answer in time.
    """
    for option, port in (("--prefect-port", prefect_port), ("--mlflow-port", mlflow_port)):
        if port_is_taken(port):
            raise UserError(f"{option} {port}: the port is in use; choose another")
    settings.store.check_writable()
    # In the environment: everybody can read the arguments of a process, and an address may have a password.
    mlflow = {"MLFLOW_BACKEND_STORE_URI": settings.tracking_uri}
    if settings.artifacts:
        mlflow["MLFLOW_DEFAULT_ARTIFACT_ROOT"] = settings.artifacts
    # A terminal's Ctrl-C raises KeyboardInterrupt; a plain `kill` must stop the servers too.
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        command = ["mlflow", "server", "--workers", "1"]
        with (
            prefect_server(port=prefect_port) as first,
            running("MLflow", command, mlflow_port, "/health", mlflow) as second,
        ):
            for server in (first, second):
                server.wait_until_healthy()
            echo(f"{first.name}: {first.address}")
            echo(f"{second.name}: {second.address}{_page_of_runs(second.address)}")
            echo("Ctrl-C stops both.")
            while first.process.poll() is None and second.process.poll() is None:
                time.sleep(0.5)
            ended = first if first.process.poll() is not None else second
            raise UserError(f"{ended.name} ended by itself")
    except KeyboardInterrupt:
        echo("Stopped.")
    finally:
        signal.signal(signal.SIGTERM, earlier)
