"""Fetch one file over HTTP(S): verified before anybody sees it, whole or not at all."""

import hashlib
import netrc
import os
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nli_core import atomic
from nli_core.callbacks import Progress, no_progress
from nli_core.errors import UserError, connection_fault
from nli_core.urls import is_remote, without_password

_CONNECT_SECONDS, _SILENT_SECONDS = 10.0, 60.0
_RETRIES = 3
_FIRST_PAUSE_SECONDS = 1.0  # doubled before each further retry
_PASSING = (408, 429)  # answers of 4xx that a retry may change
_CHUNK_BYTES = 1 << 18


@dataclass(frozen=True)
class Fetcher:
    """Fetches files: they arrive in the folder `scratch` and are kept in the folder `cache`."""

    cache: Path
    scratch: Path
    progress: Progress = no_progress

    def fetch(self, address: str, *, digest: str | None, remedy: str) -> Path:
        """Return the file at `address`, an http(s) address or a local path, once its digest has been verified.

        A digest is in hexadecimal, of SHA-256, or of SHA-1 where a publisher gives no better one. Only a file with a
        known digest is kept in the cache and reused. A local file stays in its folder. `remedy` ends each error.

        Raises:
            UserError: no such file, no network, an HTTP error, a body shorter than announced, or another digest.
        """
        if not is_remote(address):
            path = Path(address).expanduser()
            if not path.is_file():
                raise UserError(f"{path}: there is no such file; {remedy}")
            _check(path, digest, address, remedy)
            return path
        try:
            name = Path(urlsplit(address).path).name or "download"
        except ValueError as error:
            raise UserError(f"{without_password(address)}: is no valid address ({error}); {remedy}") from None
        arrived, kept = self.scratch / name, self.cache / f"{digest}-{name}"
        if digest and kept.is_file() and _digest_of(kept, like=digest) == digest:
            return kept
        _download(address, arrived, remedy, self.progress)
        if not digest:
            return arrived
        _check(arrived, digest, without_password(address), remedy)
        self.cache.mkdir(parents=True, exist_ok=True)
        atomic.sync(arrived)
        arrived.replace(kept)
        return kept


def _download(address: str, target: Path, remedy: str, progress: Progress) -> None:
    """Try several times, with growing pauses; most answers of 4xx are final."""
    shown = without_password(address)
    pause = _FIRST_PAUSE_SECONDS
    for retries_left in reversed(range(_RETRIES + 1)):
        try:
            _transfer(address, target, progress)
            return
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            final = error.response.is_client_error and status not in _PASSING
            if final or not retries_left:
                answered = "answered" if final else "kept answering"
                raise UserError(f"{shown}: expected a file, the server {answered} HTTP {status}; {remedy}") from None
        except httpx.UnsupportedProtocol:
            raise UserError(f"{shown}: the server redirects to something else than http(s); {remedy}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if not retries_left:
                raise UserError(f"{shown}: {_fault(error)}; {remedy}") from None
        time.sleep(pause)
        pause *= 2


def _transfer(address: str, target: Path, progress: Progress) -> None:
    timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
    with (
        httpx.Client(timeout=timeout, follow_redirects=True, auth=_netrc(address)) as client,
        client.stream("GET", address) as response,
    ):
        response.raise_for_status()
        total, done = int(response.headers.get("Content-Length", 0)), 0
        with target.open("wb") as file:
            for chunk in response.iter_bytes(_CHUNK_BYTES):
                done += file.write(chunk)
                progress(done, max(done, total), f"bytes of {target.name}")


def _netrc(address: str) -> httpx.NetRCAuth | None:
    """Return the user's passwords by host, unless the address has its own."""
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if "@" in urlsplit(address).netloc or not path.is_file():
        return None
    try:
        return httpx.NetRCAuth(str(path))
    except netrc.NetrcParseError as error:
        raise UserError(f"{path}: is no valid netrc file ({error}); fix it") from None


def _fault(error: httpx.HTTPError | httpx.InvalidURL) -> str:
    if isinstance(error, httpx.ReadTimeout):
        return f"the server went silent for {_SILENT_SECONDS:g} seconds"
    if isinstance(error, httpx.RemoteProtocolError):
        return f"the body ended before the announced length ({error})"
    if isinstance(error, httpx.TransportError):
        return connection_fault(error)
    return f"cannot be fetched ({type(error).__name__})"


def _check(path: Path, digest: str | None, shown: str, remedy: str) -> None:
    if digest and (found := _digest_of(path, like=digest)) != digest:
        raise UserError(f"{shown}: expected {_algorithm(digest)} {digest}, got {found}; {remedy}")


def _digest_of(path: Path, *, like: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, _algorithm(like)).hexdigest()


def _algorithm(digest: str) -> str:
    return "sha256" if len(digest) == 64 else "sha1"
