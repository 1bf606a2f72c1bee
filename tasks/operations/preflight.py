"""Check the addresses and servers that a run needs, before any work."""

import re
from urllib.parse import urlsplit

import httpx
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from nli_core.errors import UserError, reason_of
from nli_core.urls import is_remote, without_password
from tasks.settings import TRACKING, WEBHOOK, Settings, webhook
from tasks.tracking.database import check_database, sqlite_path

_TIMEOUT_SECONDS = 10
_CHEAP_REQUEST = "api/2.0/mlflow/experiments/search?max_results=1"  # MLflow's own health check answers any host


def check_prefect() -> None:
    """Raise UserError if the configured Prefect server does not answer, or something else does."""
    address = without_password(str(PREFECT_API_URL.value()))
    try:
        with get_client(sync_client=True) as client:
            fault = client.api_healthcheck()
            if fault is None:
                client.raise_for_api_version_mismatch()
    except RuntimeError as error:
        raise UserError(f"{address} is no Prefect server ({reason_of(error)}); set PREFECT_API_URL") from None
    if fault is not None:
        raise UserError(f"Prefect at {address} does not answer ({fault}); start it, or unset PREFECT_API_URL")


def check_tracking(settings: Settings) -> None:
    """Raise UserError if a configured tracking server or database does not answer."""
    if sqlite_path(settings):
        check_database(settings)
        return
    if not is_remote(settings.tracking_uri):
        _open_database(settings)
        return
    try:
        answer = httpx.get(f"{settings.tracking_uri.rstrip('/')}/{_CHEAP_REQUEST}", timeout=_TIMEOUT_SECONDS)
    except httpx.HTTPError as error:
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} does not answer ({error}); start it, or set {TRACKING}"
        ) from None
    if answer.status_code == httpx.codes.FORBIDDEN and "host" in answer.text.lower():
        host = urlsplit(settings.shown_tracking_uri).netloc
        raise UserError(f"MLflow refuses requests to {host} (HTTP 403); start it with --allowed-hosts {host}")
    if "html" in answer.headers.get("Content-Type", ""):
        raise UserError(f"{settings.shown_tracking_uri} answers with a web page, as no MLflow; set {TRACKING}")


def check_webhook() -> None:
    """Raise UserError if `NLI_WEBHOOK` can be neither an address nor a block's name. Its value may be a secret."""
    target = webhook()
    if not target or re.fullmatch(r"[a-z0-9-]+/[a-z0-9-]+", target):
        return
    try:
        if not (is_remote(target) and httpx.URL(target).host):
            raise httpx.InvalidURL("without a host")
    except httpx.InvalidURL:
        raise UserError(f"{WEBHOOK}: give an http(s) address, or a notification block as TYPE/NAME") from None


def _open_database(settings: Settings) -> None:
    from tasks.tracking.client import mlflow_client

    try:
        with mlflow_client(settings) as client:
            client.search_experiments(max_results=1)
    except UserError:
        raise
    except Exception as error:  # of any database package, or of a missing one
        raise UserError(
            f"MLflow cannot use {settings.shown_tracking_uri} ({reason_of(error)}); fix {TRACKING}, or "
            "install what it needs"
        ) from None
