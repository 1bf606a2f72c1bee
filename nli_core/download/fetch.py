"""Fetch one file over HTTP(S): verified before anybody sees it, whole or not at all."""

import hashlib
import netrc
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from nli_core import atomic
from nli_core.callbacks import Progress, no_progress
from nli_core.download.archives import gunzip
from nli_core.errors import UserError, connection_fault
from nli_core.paths import user_path
from nli_core.remote.objects import fetch_object
from nli_core.urls import is_bucket, is_remote, without_password

_CONNECT_SECONDS, _SILENT_SECONDS = 10.0, 60.0
_LEAST_BYTES_A_SECOND = 1024  # over `_SILENT_SECONDS`: who sends less is given up, as by curl's --speed-limit
_RETRIES = 3
_FIRST_PAUSE_SECONDS = 1.0  # doubled before each further retry
_PASSING = (408, 429)  # answers of 4xx that a retry may change
_RESERVE_BYTES = 1 << 30  # of the disk that no download fills, or a tenth of what is free
_LONGEST_NAME = 100  # of a file, in characters; the end of a longer one
_COMPRESSED = (".gz", ".tgz", ".zip")


@dataclass(frozen=True)
class Fetcher:
    """Fetches files: they arrive in the folder `scratch` and are kept in the folder `cache`."""

    cache: Path
    scratch: Path
    progress: Progress = no_progress

    def fetch(self, address: str, *, digest: str | None, remedy: str, token: str | None = None) -> Path:
        """Return the file at `address`, of http(s) or in a bucket, or a local path, once its digest has been verified.

        A digest is in hexadecimal, of SHA-256, or of SHA-1 where a publisher gives no better one. Only a file with a
        known digest is kept in the cache and reused. A local file stays in its folder. `remedy` ends each error;
        `token` goes to the host of the address alone.

        Raises:
            UserError: no such file, no network, an HTTP error, a slow or endless answer, a body shorter than
                announced, or another digest.
        """
        if is_bucket(address):
            return self._from_bucket(address, digest, remedy)
        if not is_remote(address):
            path = user_path(address)
            if not path.is_file():
                raise UserError(f"{path}: there is no such file; {remedy}")
            _check(path, digest, address, remedy)
            return path
        try:
            name = _file_name(address)
        except ValueError as error:
            raise UserError(f"{without_password(address)}: is no valid address ({error}); {remedy}") from None
        arrived, kept = self.scratch / name, self.cache / f"{digest}-{name}"
        if digest and kept.is_file() and _digest_of(kept, like=digest) == digest:
            return kept
        _download(_Request(address, token, remedy), arrived, self.progress)
        if not digest:
            return arrived
        _check(arrived, digest, without_password(address), remedy)
        self.cache.mkdir(parents=True, exist_ok=True)
        atomic.sync(arrived)
        arrived.replace(kept)
        return kept

    def _from_bucket(self, address: str, digest: str | None, remedy: str) -> Path:
        arrived = self.scratch / _file_name(address)
        fetch_object(address, arrived, "download", self.progress)
        _check(arrived, digest, address, remedy)
        return arrived


@dataclass(frozen=True)
class _Request:
    address: str
    token: str | None
    remedy: str

    @property
    def auth(self) -> httpx.Auth | None:
        """The user's password for the host by netrc, unless the address or a token says who asks."""
        path = user_path(os.environ.get("NETRC", "~/.netrc"))
        if self.token or "@" in urlsplit(self.address).netloc or not path.is_file():
            return None
        try:
            return httpx.NetRCAuth(str(path))
        except netrc.NetrcParseError as error:
            raise UserError(f"{path}: is no valid netrc file ({error}); fix it") from None

    @property
    def headers(self) -> dict[str, str]:
        """Ask for the bytes as they are, so that their number is the announced one."""
        return {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {self.token}"} if self.token else {})

    def refusal(self, reason: str) -> UserError:
        """Return an error that no retry can change."""
        return UserError(f"{without_password(self.address)}: {reason}; {self.remedy}")


class _TooSlowError(Exception):
    """The server sends, but so little that the end is out of sight."""


def _file_name(address: str) -> str:
    name = Path(urlsplit(address).path).name[-_LONGEST_NAME:]
    return name if name.strip(".") else "download"


def _download(request: _Request, target: Path, progress: Progress) -> None:
    """Try several times, with growing pauses; most answers of 4xx are final."""
    pause = _FIRST_PAUSE_SECONDS
    for retries_left in reversed(range(_RETRIES + 1)):
        try:
            _transfer(request, target, progress)
            return
        except httpx.HTTPStatusError as error:
            status = error.response.status_code
            final = error.response.is_client_error and status not in _PASSING
            if final or not retries_left:
                answered = "answered" if final else "kept answering"
                raise request.refusal(f"expected a file, the server {answered} HTTP {status}") from None
        except httpx.UnsupportedProtocol:
            raise request.refusal("the server redirects to something else than http(s)") from None
        except (httpx.HTTPError, httpx.InvalidURL, _TooSlowError) as error:
            if not retries_left:
                raise request.refusal(_fault(error)) from None
        time.sleep(pause)
        pause *= 2


def _transfer(request: _Request, target: Path, progress: Progress) -> None:
    timeout = httpx.Timeout(_SILENT_SECONDS, connect=_CONNECT_SECONDS)
    with (
        httpx.Client(timeout=timeout, follow_redirects=True, auth=request.auth, headers=request.headers) as client,
        client.stream("GET", request.address) as response,
    ):
        response.raise_for_status()
        if response.status_code != httpx.codes.OK:
            raise request.refusal(f"expected a whole file, the server answered HTTP {response.status_code}")
        announced = int(response.headers.get("Content-Length", 0))
        limits = _Limits(request, announced, target.parent)
        with target.open("wb") as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                limits.check(file.tell())
                progress(file.tell(), max(file.tell(), announced), f"bytes of {target.name}")
        encoding = response.headers.get("Content-Encoding", "identity")
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise request.refusal(f"the server sends it encoded as {encoding}, though asked not to")
    if encoding != "identity" and target.suffix not in _COMPRESSED:
        packed = target.rename(target.with_name(f"{target.name}.gz"))
        gunzip(packed, target, name=without_password(request.address), remedy=request.remedy)


class _Limits:
    """Ends an answer that does not fit on the disk, or is too slow to ever end."""

    def __init__(self, request: _Request, announced: int, folder: Path) -> None:
        free = shutil.disk_usage(folder).free
        self._request, self._room = request, free - min(_RESERVE_BYTES, free // 10)
        if announced > self._room:
            raise request.refusal(f"announces {announced:,} bytes, and the disk has room for {self._room:,}")
        self._window_ends, self._before_window = time.monotonic() + _SILENT_SECONDS, 0

    def check(self, received: int) -> None:
        """Refuse this many bytes, or this pace."""
        if received > self._room:
            raise self._request.refusal(f"sends more than the {self._room:,} bytes that the disk has room for")
        if time.monotonic() > self._window_ends:
            if received - self._before_window < _LEAST_BYTES_A_SECOND * _SILENT_SECONDS:
                raise _TooSlowError
            self._window_ends, self._before_window = time.monotonic() + _SILENT_SECONDS, received


def _fault(error: Exception) -> str:
    if isinstance(error, _TooSlowError):
        return f"the server sent less than {_LEAST_BYTES_A_SECOND} bytes a second for {_SILENT_SECONDS:g} seconds"
    if isinstance(error, httpx.ReadTimeout):
        return f"the server went silent for {_SILENT_SECONDS:g} seconds"
    if isinstance(error, httpx.RemoteProtocolError):
        return f"the answer breaks HTTP or ends before the announced length ({error})"
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
