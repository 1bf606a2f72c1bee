"""The tracking database, asked before MLflow is, which retries for many minutes or raises other packages' errors."""

import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from nli_core.errors import UserError
from nli_core.urls import is_remote
from tasks.settings import TRACKING, Settings

_SQLITE = "sqlite:///"
_BUSY_SECONDS = 20
_TIMEOUT_SECONDS = 10
_UNFINISHED = (sqlite3.SQLITE_READONLY_ROLLBACK, sqlite3.SQLITE_READONLY_RECOVERY)
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def sqlite_path(settings: Settings) -> Path | None:
    """Return the path of a tracking database that is a file of SQLite, and None for others."""
    address = settings.tracking_uri
    return Path(address.removeprefix(_SQLITE)).absolute() if address.startswith(_SQLITE) else None


@contextmanager
def opened_to_read(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file of SQLite, which is neither made nor changed."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=_BUSY_SECONDS)) as database:
        yield database


def check_database(settings: Settings) -> None:
    """Look whether a tracking database is one, or its server listens; servers of MLflow are not asked.

    Raises:
        UserError: the file is no SQLite database, its folder is missing, or nothing listens at the address.
    """
    path = sqlite_path(settings)
    if path is not None and path.exists():
        _check_file(path)
    elif path is not None:  # MLflow makes the file, and any folder of a mistyped path
        if not path.parent.exists() and path.parent != settings.store.root.parent:
            raise UserError(f"{TRACKING}: there is no folder {path.parent}; make it, or name another")
    elif not is_remote(settings.tracking_uri):
        _check_server(settings)


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise UserError(f"{path}: is a folder, and no database; move it away, or set {TRACKING}")
    try:
        with opened_to_read(path) as database:
            database.execute("PRAGMA schema_version")
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode in _UNFINISHED:
            return  # a process was killed while it wrote: whoever may write undoes that first
        if "locked" in str(error):
            raise UserError(f"{path}: another process has locked it; rerun once that has ended") from None
        raise UserError(
            f"{path}: MLflow cannot use it ({error}); move it away if it is damaged, or set {TRACKING}"
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
            f"start it, or set {TRACKING}"
        ) from None
