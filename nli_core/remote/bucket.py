"""A bucket of an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

obstore moves the bytes. It reads the keys from the usual variables (`AWS_ACCESS_KEY_ID` and so on) or asks the machine.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import numpy as np
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import from_url

from nli_core.errors import UserError
from nli_core.urls import BUCKET_KINDS, is_bucket

if TYPE_CHECKING:  # obstore has these types for checkers alone
    from obstore.store import ClientConfig, RetryConfig

_RETRIES, _RETRY_SECONDS = 3, 60
_CONNECT_SECONDS, _SILENT_SECONDS = 10, 60
_CHUNK_BYTES = 1 << 20
# S3 takes no single request of more than 5 GiB. One request leaves nothing behind when its process is killed.
_MOST_BYTES_A_REQUEST = 4 << 30
_STATUS = re.compile(r"status code: (\d+ [\w ]*)")


class BucketError(UserError):
    """The bucket did not answer, or refused. The message holds neither keys nor signed addresses."""


class Entry(NamedTuple):
    """An object in the bucket: its name, its size in bytes, when it was written last, and the server's mark of it."""

    name: str
    size: int
    modified: datetime
    etag: str | None


class Bucket:
    """Objects below an address such as s3://bucket/prefix, by their names. Methods raise `BucketError`."""

    def __init__(self, address: str, *, setting: str) -> None:
        """Open the bucket without a request; `setting` names in errors what the address was read from.

        Raises:
            UserError: the address is malformed, or of no known kind.
        """
        self.address, parts = address, _parts(address, setting)
        client: ClientConfig = {
            "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
            "read_timeout": timedelta(seconds=_SILENT_SECONDS),
            "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
        }
        retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
        try:
            self._store = from_url(parts, client_options=client, retry_config=retry)
        except (BaseError, ValueError) as error:
            raise UserError(f"{setting}: {address} cannot be opened ({_reason(error)}); fix it") from None

    def entry(self, name: str) -> Entry | None:
        """Describe an object; None if there is none."""
        try:
            found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._failed(error) from None
        return Entry(name, found["size"], found["last_modified"], found["e_tag"])

    def read(self, name: str) -> bytes | None:
        """Read a small object whole; None if there is none."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._failed(error) from None

    def write(self, name: str, body: bytes) -> None:
        """Write a small object, over any of this name."""
        try:
            obstore.put(self._store, name, body, use_multipart=False)
        except (BaseError, FileNotFoundError) as error:
            raise self._failed(error) from None

    def write_new(self, name: str, body: bytes) -> bool:
        """Write a small object unless there is one of this name; return whether it was written."""
        try:
            obstore.put(self._store, name, body, mode="create")
        except AlreadyExistsError:
            return False
        except (BaseError, FileNotFoundError) as error:
            raise self._failed(error) from None
        return True

    def upload(self, path: Path, name: str) -> None:
        """Write a file's bytes, over any object of this name; they stay in the file, and never fill the memory."""
        size = path.stat().st_size
        try:
            if size > _MOST_BYTES_A_REQUEST:
                obstore.put(self._store, name, path)
            else:
                body = np.memmap(path, dtype=np.uint8, mode="r") if size else b""
                obstore.put(self._store, name, body, use_multipart=False)
        except (BaseError, FileNotFoundError) as error:
            raise self._failed(error) from None

    def download(self, name: str, path: Path, received: Callable[[int], object] = lambda _: None) -> str | None:
        """Stream an object into a file; return its SHA-256, or None and no file if there is no object.

        `received` gets the number of bytes that have arrived.
        """
        digest = hashlib.sha256()
        with path.open("wb") as file:
            for chunk in self._chunks(name):
                digest.update(chunk)
                file.write(chunk)
                received(file.tell())
            if file.tell() or self.entry(name):
                return digest.hexdigest()
        path.unlink()
        return None

    def digest(self, name: str) -> str | None:
        """Stream an object and return its SHA-256; None if there is no object."""
        digest, size = hashlib.sha256(), 0
        for chunk in self._chunks(name):
            digest.update(chunk)
            size += len(chunk)
        return digest.hexdigest() if size or self.entry(name) else None

    def _chunks(self, name: str) -> Iterator[memoryview]:
        """Yield the bytes of an object; nothing if there is none."""
        try:
            for chunk in obstore.get(self._store, name).stream(min_chunk_size=_CHUNK_BYTES):
                yield memoryview(chunk)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self._failed(error) from None

    def entries(self, folder: str) -> Iterator[Entry]:
        """List the objects whose names begin with `folder/`."""
        try:
            for page in obstore.list(self._store, prefix=folder, chunk_size=1000):
                for found in page:
                    yield Entry(found["path"], found["size"], found["last_modified"], found["e_tag"])
        except (BaseError, FileNotFoundError) as error:
            raise self._failed(error) from None

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, those that are there."""
        try:
            obstore.delete(self._store, names)
        except FileNotFoundError:
            return
        except BaseError as error:
            raise self._failed(error) from None

    def _failed(self, error: Exception) -> BucketError:
        return BucketError(
            f"{self.address}: {_reason(error)}; `nli doctor` checks the address, the network and the keys"
        )


def _parts(address: str, setting: str) -> str:
    kinds = ", ".join(f"{kind}://" for kind in BUCKET_KINDS)
    if not is_bucket(address):
        raise UserError(f"{setting}: {address} is no address of a bucket; give one that begins with {kinds}")
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UserError(f"{setting}: give the bucket and a prefix alone; keys belong into variables such as AWS_...")
    if not parts.netloc:
        raise UserError(f"{setting}: {address} names no bucket; give one such as s3://bucket/prefix")
    return address.rstrip("/")


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words, without the server's text, which may quote keys."""
    if isinstance(error, FileNotFoundError):
        return "there is no such bucket"
    text = str(error)
    if status := _STATUS.search(text):
        return f"the server answers {status[1].strip()}"
    return text.partition("\n")[0].rpartition(" - ")[2].strip()
