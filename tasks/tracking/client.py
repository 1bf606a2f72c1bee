"""A client of the MLflow tracking server, whose faults become one line without passwords."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from nli_core.errors import UserError, disk_refusal, reason_of
from tasks.settings import Settings
from tasks.tracking.database import check_database

# What SQLite says, and what to do about it.
_REMEDIES = {
    "readonly database": "make it writable, or put it back if it was deleted",
    "disk is full": "free some space there",
    "database is locked": "wait for the process that has locked it",
}


@contextmanager
def mlflow_client(settings: Settings) -> Iterator[MlflowClient]:
    """Yield a client of the tracking server; turn what MLflow raises within the block into one line.

    Raises:
        UserError: MLflow did not answer, or refused.
    """
    # By default MLflow retries for minutes, in silence.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    # The address that MLflow prints has user name and password; the summary has it without.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    check_database(settings)
    try:
        settings.store.root.parent.mkdir(parents=True, exist_ok=True)
        mlflow.set_tracking_uri(settings.tracking_uri)
        yield MlflowClient(settings.tracking_uri)
    except (MlflowException, OSError) as error:  # those of requests, MLflow's client, are OSErrors
        if refusal := disk_refusal(error):
            places = dict.fromkeys([str(settings.store.root.parent), settings.artifacts or "", tempfile.gettempdir()])
            raise UserError(
                f"MLflow at {settings.shown_tracking_uri}: the disk there, or of {', '.join(filter(None, places))}, "
                f"takes no more ({refusal}); free some space (`nli store prune` lists what may go) or raise the limit, "
                "then rerun"
            ) from None
        # Without its cause, whose words and addresses Prefect would log too.
        reason = reason_of_mlflow(error)
        remedy = next((remedy for sign, remedy in _REMEDIES.items() if sign in reason), "fix it")
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} failed ({reason}); {remedy}, then rerun the command to resume"
        ) from None


def reason_of_mlflow(error: Exception) -> str:
    """Return the cause behind MLflow's lists of failures, urllib3's chains of them and SQLAlchemy's, if it shows."""
    found = re.findall(r"\[Errno \d+\] [^'\")\n]+|(?<=Error\) )[^\n\[]+", str(error))
    return str(found[-1]).strip() if found else reason_of(error)


def says_missing(error: Exception) -> bool:
    """Return whether MLflow says that something does not exist, rather than that it cannot tell."""
    if isinstance(error, MlflowException):
        return error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
    return isinstance(error, FileNotFoundError)
