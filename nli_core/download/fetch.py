"""Fetching one file over HTTP(S): verified before anybody sees it, whole or not at all.

pooch does the bookkeeping and the back-off; the errors say what to do about them.
"""

import logging
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests
import urllib3
from tqdm import tqdm

from nli_core import atomic
from nli_core.errors import UserError
from nli_core.urls import is_remote, without_password

_TIMEOUT_SECONDS = (10, 60)  # to connect; between two pieces of the answer
_RETRIES = 3
_CHUNK_BYTES = 1 << 18


def fetch(address: str, *, digest: str | None, cache: Path, scratch: Path, remedy: str) -> Path:
    """The file at `address`, an http(s) address or a local path, once its digest has been checked.

    A digest is in hexadecimal, of SHA-256, or of SHA-1 where a publisher gives no better one. A download arrives in the
    folder `scratch` and moves to `cache` when it is whole and verified; it is not fetched again while a digest is known
    and fits. A local file is used where it is. `remedy` is what errors tell users to try.

    Raises:
        UserError: no such file, no network, an HTTP error, a body shorter than announced, or another digest.
    """
    if not is_remote(address):
        path = Path(address).expanduser()
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; {remedy}")
        _check(path, digest, address, remedy)
        return path
    name = Path(urlsplit(address).path).name or "download"
    kept = cache / f"{digest or 'unverified'}-{name}"
    if digest and kept.is_file() and _digest_of(kept, like=digest) == digest:
        return kept
    arrived = _download(address, name, scratch, remedy)
    _check(arrived, digest, without_password(address), remedy)
    cache.mkdir(parents=True, exist_ok=True)
    atomic.sync(arrived)
    arrived.replace(kept)
    return kept


def _transfer(url: str, output_file: str, _pooch: object) -> None:
    """A downloader for pooch that closes what it opens, and for which an answer of 4xx is final."""
    with requests.get(url, stream=True, timeout=_TIMEOUT_SECONDS) as response:
        if 400 <= response.status_code < 500:
            raise _FinalAnswerError(response.status_code)
        response.raise_for_status()
        total = int(response.headers.get("Content-Length", 0)) or None
        with Path(output_file).open("wb") as file, tqdm(total=total, unit="B", unit_scale=True, leave=False) as bar:
            for chunk in response.iter_content(_CHUNK_BYTES):
                bar.update(file.write(chunk))


class _FinalAnswerError(Exception):
    """An HTTP status that repeating the request would not change."""


def _download(address: str, name: str, scratch: Path, remedy: str) -> Path:
    pooch.get_logger().setLevel(logging.WARNING)
    shown = without_password(address)
    # The digest is checked by the caller: pooch would take a wrong one for a transfer that is worth repeating.
    source = pooch.create(scratch, base_url="", registry={name: None}, urls={name: address}, retry_if_failed=_RETRIES)
    try:
        return Path(source.fetch(name, downloader=_transfer))
    except _FinalAnswerError as error:
        raise UserError(f"{shown}: expected a file, the server answered HTTP {error}; {remedy}") from None
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code
        raise UserError(f"{shown}: expected a file, the server kept answering HTTP {status}; {remedy}") from None
    except requests.exceptions.ChunkedEncodingError as error:
        raise UserError(f"{shown}: the body ended before the announced length ({error}); {remedy}") from None
    except requests.exceptions.InvalidSchema:
        raise UserError(f"{shown}: the server redirects to something else than http(s); {remedy}") from None
    except (requests.exceptions.Timeout, requests.exceptions.ConnectionError) as error:
        if _went_silent(error):
            raise UserError(f"{shown}: the server went silent for {_TIMEOUT_SECONDS[1]} seconds; {remedy}") from None
        raise UserError(f"{shown}: no connection ({type(error).__name__}), is there a network? {remedy}") from None
    except requests.exceptions.RequestException as error:
        raise UserError(f"{shown}: cannot be fetched ({type(error).__name__}); {remedy}") from None


def _went_silent(error: Exception) -> bool:
    """Whether a server that had been reached sent nothing more; within a body, requests wraps that."""
    silent = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError)
    return isinstance(error, silent) or any(isinstance(cause, silent) for cause in error.args)


def _check(path: Path, digest: str | None, shown: str, remedy: str) -> None:
    if digest and (found := _digest_of(path, like=digest)) != digest:
        raise UserError(f"{shown}: expected {_algorithm(digest)} {digest}, got {found}; {remedy}")


def _digest_of(path: Path, *, like: str) -> str:
    return str(pooch.file_hash(str(path), alg=_algorithm(like)))


def _algorithm(digest: str) -> str:
    return "sha256" if len(digest) == 64 else "sha1"
