"""The way to MLflow: a client of the tracking server, whose faults are told in one line without passwords."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from requests import RequestException

from nli_core.errors import UserError, reason_of
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
        # Without its cause, whose words and addresses Prefect would log too.
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} failed ({reason_of(error)}); mend it and run the same command "
            "again; what is finished is kept"
        ) from None


def says_missing(error: Exception) -> bool:
    """Whether MLflow says that what was asked for does not exist, rather than that it cannot tell."""
    if isinstance(error, MlflowException):
        return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return isinstance(error, FileNotFoundError)
