"""What a run needs besides its input, looked at before any work: servers that answer, a store that takes files."""

from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from nli_core.download.addresses import is_remote, without_password
from nli_core.errors import UserError
from tasks.settings import Settings

_TIMEOUT_SECONDS = 10


def check_prefect() -> None:
    """Raises UserError if the configured Prefect server does not answer."""
    with get_client(sync_client=True) as client:
        fault = client.api_healthcheck()
    if fault is not None:
        address = without_password(str(PREFECT_API_URL.value()))
        raise UserError(
            f"Prefect at {address} does not answer ({fault}); start it, or unset PREFECT_API_URL to do without a server"
        )


def check_tracking(settings: Settings) -> None:
    """Raises UserError if the tracking server, where one is configured, does not answer."""
    if not is_remote(settings.tracking_uri):
        return
    try:
        urlopen(f"{settings.shown_tracking_uri}/health", timeout=_TIMEOUT_SECONDS).close()
    except HTTPError:
        return  # an answer
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} does not answer ({reason}); start it, or set MLFLOW_TRACKING_URI"
        ) from None
