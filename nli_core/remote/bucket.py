"""A bucket of an object store: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

obstore moves the bytes. It reads the keys from the usual variables (`AWS_ACCESS_KEY_ID` and so on) or asks the machine.
"""

import contextlib
import hashlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import AzureStore, GCSStore, S3Store

from nli_core.errors import UserError
from nli_core.urls import BUCKET_KINDS, is_bucket, without_password

if TYPE_CHECKING:  # obstore has these types for checkers alone
    from obstore.store import ClientConfig, ObjectStore, RetryConfig

_RETRIES, _RETRY_SECONDS = 3, 30
_CONNECT_SECONDS, _SILENT_SECONDS = 10, 30
_CHUNK_BYTES = _SMALL_BYTES = 1 << 20
_LEAST_BYTES_A_SECOND = 1 << 16  # of each upload
# S3 takes no single request of more than 5 GiB. One request leaves nothing behind when its process is killed.
_MOST_BYTES_A_REQUEST = 4 << 30
_STORES: dict[str, Callable[..., "ObjectStore"]] = {"s3": S3Store, "gs": GCSStore, "az": AzureStore}
_NAME = re.compile(r"[\w.-]+", re.ASCII)
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
        self.address, self._setting = address.rstrip("/"), setting
        self._store = _open(address, setting)

    def entry(self, name: str) -> Entry | None:
        """Describe an object; None if there is none."""
        with self._faults():
            try:
                found = obstore.head(self._store, name)
            except FileNotFoundError:
                return None
        return Entry(name, found["size"], found["last_modified"], found["e_tag"])

    def read(self, name: str) -> bytes | None:
        """Read a small object whole; None if there is none."""
        with self._faults():
            try:
                return bytes(obstore.get(self._store, name).bytes())
            except FileNotFoundError:
                return None

    def write(self, name: str, body: bytes) -> None:
        """Write a small object, over any of this name."""
        with self._faults():
            obstore.put(self._store, name, body, use_multipart=False)

    def write_new(self, name: str, body: bytes) -> bool:
        """Write a small object unless there is one of this name; return whether it was written."""
        with self._faults():
            try:
                obstore.put(self._store, name, body, mode="create")
            except AlreadyExistsError:
                return False
        return True

    def upload(self, path: Path, name: str) -> None:
        """Write a file's bytes, over any object of this name; they stay in the file, and never fill the memory."""
        size = path.stat().st_size
        store = _open(self.address, self._setting, sends=size) if size > _SMALL_BYTES else self._store
        with self._faults():
            if size > _MOST_BYTES_A_REQUEST:
                obstore.put(store, name, path)
            else:
                body = np.memmap(path, dtype=np.uint8, mode="r") if size else b""
                obstore.put(store, name, body, use_multipart=False)

    def download(self, name: str, path: Path, received: Callable[[int], object] = lambda _: None) -> str | None:
        """Stream an object into a file; return its SHA-256, or None and no file if there is no object.

        `received` gets the number of bytes that have arrived.
        """
        with path.open("wb") as file:

            def take(chunk: memoryview) -> None:
                file.write(chunk)
                received(file.tell())

            digest = self.digest(name, take)
        if digest is None:
            path.unlink()
        return digest

    def digest(self, name: str, take: Callable[[memoryview], object] = lambda _: None) -> str | None:
        """Stream an object to `take` and return its SHA-256; None if there is no object."""
        digest, size = hashlib.sha256(), 0
        with self._faults():
            try:
                answer = obstore.get(self._store, name)
            except FileNotFoundError:
                return None
            chunks = iter(answer.stream(min_chunk_size=_CHUNK_BYTES))
        while True:
            with self._faults():
                chunk = next(chunks, None)
            if chunk is None:
                break
            view = memoryview(chunk)
            take(view)
            digest.update(view)
            size += len(view)
        if size != answer.meta["size"]:
            raise BucketError(f"{self.address}/{name}: the answer ends early; rerun once the network is better")
        return digest.hexdigest()

    def entries(self, folder: str) -> Iterator[Entry]:
        """List the objects whose names begin with `folder/`."""
        with self._faults():
            pages = list(obstore.list(self._store, prefix=folder, chunk_size=1000))
        for found in itertools.chain.from_iterable(pages):
            yield Entry(found["path"], found["size"], found["last_modified"], found["e_tag"])

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects, those that are there."""
        with self._faults(), contextlib.suppress(FileNotFoundError):
            obstore.delete(self._store, names)

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise BucketError(
                f"{self.address}: {_reason(error)}; `nli doctor` checks the address, the network and the keys"
            ) from None


def _open(address: str, setting: str, sends: int = 0) -> "ObjectStore":
    """Return obstore's store of an address, whose prefix is taken as it is written.

    An answer may pause for `_SILENT_SECONDS`. That includes the time in which a request is sent, so for one that sends
    many bytes it is their number that sets the limit.

    Raises:
        UserError: the address is malformed.
    """
    shown = without_password(address).partition("?")[0]  # a signature may follow
    if not is_bucket(address):
        kinds = ", ".join(f"{kind}://" for kind in BUCKET_KINDS)
        raise UserError(f"{setting}: {shown} is no address of a bucket; give one that begins with {kinds}")
    kind, _, rest = address.partition("://")
    bucket, _, prefix = rest.rstrip("/").partition("/")
    if "@" in bucket:
        raise UserError(f"{setting}: keys belong into variables such as AWS_SECRET_ACCESS_KEY, and not into an address")
    if not _NAME.fullmatch(bucket):
        raise UserError(f"{setting}: {shown} names no bucket, give one such as s3://bucket/prefix")
    if prefix and {"", ".", ".."} & set(prefix.split("/")):
        raise UserError(f"{setting}: {shown} has a part that is empty or dots; name folders alone")
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=_CONNECT_SECONDS),
        "read_timeout": timedelta(seconds=_SILENT_SECONDS + sends / _LEAST_BYTES_A_SECOND),
        "timeout": timedelta(days=1),  # of obstore, 30 seconds for a whole request otherwise
        "allow_http": os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true"),
    }
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    options: dict[str, Any] = {"prefix": prefix or None, "client_options": client, "retry_config": retry}
    try:
        return _STORES[kind.lower()](bucket, **options)
    except (BaseError, ValueError) as error:
        raise UserError(f"{setting}: {shown} cannot be opened ({_reason(error)}); fix it") from None


def _reason(error: Exception) -> str:
    """Return what went wrong in a few words, without the server's text, which may quote keys."""
    text = str(error)
    status = _STATUS.search(text)
    if isinstance(error, FileNotFoundError) or (status and status[1].startswith("404")):
        return "there is no such bucket"
    if status:
        return f"the server answers {status[1].strip()}"
    return text.partition("\n")[0].rpartition(" - ")[2].strip()
