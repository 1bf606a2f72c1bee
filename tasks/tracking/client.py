"""The way to MLflow: a client of the tracking server, whose faults are told in one line without passwords."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import RequestException

from nli_core.errors import UserError, disk_is_full, reason_of
from tasks.settings import Settings


@contextmanager
def mlflow_client(settings: Settings) -> Iterator[MlflowClient]:
    """A client of the tracking server; what MLflow raises within the block becomes one line for the user.

    Raises:
        UserError: MLflow did not answer, or refused.
    """
    # By default MLflow tries for minutes, in which nobody is told anything.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    # The address that MLflow prints has user name and password; ours stands in the summary.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    try:
        settings.store.root.parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(settings.tracking_uri)
        yield MlflowClient(settings.tracking_uri)
    except (MlflowException, RequestException, OSError) as error:
        if disk_is_full(error):
            raise UserError(
                f"MLflow at {settings.shown_tracking_uri}: no space is left there, in {settings.store.root.parent} or "
                f"in {tempfile.gettempdir()}; make room (`nli store prune` says what may go) and run the same again"
            ) from None
        # Without its cause, whose words and addresses Prefect would log too.
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} failed ({_reason(error)}); mend it and run the same command "
            "again; what is finished is kept"
        ) from None


def _reason(error: Exception) -> str:
    """What lies behind MLflow's lists of failures and urllib3's chains of them, if it is to be seen."""
    found = re.findall(r"\[Errno \d+\] [^'\")\n]+", str(error))
    return str(found[-1]).strip() if found else reason_of(error)


def says_missing(error: Exception) -> bool:
    """Whether MLflow says that what was asked for does not exist, rather than that it cannot tell."""
    if isinstance(error, MlflowException):
        return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return isinstance(error, FileNotFoundError)
