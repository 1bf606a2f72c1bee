"""Check the servers that a run needs, before any work."""

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from nli_core.errors import UserError, reason_of
from nli_core.urls import is_remote, without_password
from tasks.settings import Settings

_TIMEOUT_SECONDS = 10


def check_prefect() -> None:
    """Raise UserError if the configured Prefect server does not answer."""
    with get_client(sync_client=True) as client:
        fault = client.api_healthcheck()
    if fault is not None:
        address = without_password(str(PREFECT_API_URL.value()))
        raise UserError(f"Prefect at {address} does not answer ({fault}); start it, or unset PREFECT_API_URL")


def check_tracking(settings: Settings) -> None:
    """Raise UserError if a configured tracking server or database does not answer."""
    if settings.tracking_uri.startswith("sqlite:"):
        return
    if not is_remote(settings.tracking_uri):
        _open_database(settings)
        return
    try:
        httpx.get(f"{settings.shown_tracking_uri}/health", timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} does not answer ({error}); start it, or set MLFLOW_TRACKING_URI"
        ) from None


def _open_database(settings: Settings) -> None:
    from tasks.tracking.client import mlflow_client

    try:
        with mlflow_client(settings) as client:
            client.search_experiments(max_results=1)
    except UserError:
        raise
    except Exception as error:  # of any database package, or of a missing one
        raise UserError(
            f"MLflow cannot use {settings.shown_tracking_uri} ({reason_of(error)}); fix MLFLOW_TRACKING_URI, or "
            "install what it needs"
        ) from None
