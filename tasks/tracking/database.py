"""Check the tracking database before MLflow, which retries for many minutes or raises other packages' errors."""

import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from nli_core.errors import UserError
from nli_core.urls import is_remote
from tasks.settings import Settings

_TIMEOUT_SECONDS = 10
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def check_database(settings: Settings) -> None:
    """Look whether a tracking database is one, or its server listens; servers of MLflow are not asked.

    Raises:
        UserError: the file is no SQLite database, or nothing listens at the address.
    """
    kind, _, rest = settings.tracking_uri.partition("://")
    if kind == "sqlite":
        _check_file(Path(rest.removeprefix("/")))
    elif not is_remote(settings.tracking_uri):
        _check_server(settings)


def _check_file(path: Path) -> None:
    if not path.exists():  # MLflow makes it
        return
    try:
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{path}: MLflow cannot use it ({error}); move it away if it is damaged, or set MLFLOW_TRACKING_URI"
        ) from None


def _check_server(settings: Settings) -> None:
    address = urlsplit(settings.tracking_uri)
    port = address.port or _PORTS.get(address.scheme.split("+")[0])
    if not address.hostname or port is None:
        return
    try:
        socket.create_connection((address.hostname, port), _TIMEOUT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"MLflow's database at {settings.shown_tracking_uri} does not answer ({error.strerror or error}); "
            "start it, or set MLFLOW_TRACKING_URI"
        ) from None
