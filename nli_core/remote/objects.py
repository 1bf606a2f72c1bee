"""A user's own files in a bucket, each at an address such as s3://bucket/folder/rows.csv."""

import shutil
from pathlib import Path

from nli_core.callbacks import Progress, no_progress
from nli_core.errors import UserError
from nli_core.remote.bucket import Bucket, Entry


def check_bucket(address: str, field: str) -> None:
    """Look whether the bucket of an address is there.

    Raises:
        UserError: it is not, it does not answer, or the address names no file.
    """
    bucket, name = _opened(address, field)
    list(bucket.entries(name))


def find_object(address: str, field: str) -> Entry:
    """Describe the object at an address.

    Raises:
        UserError: there is none, or the bucket does not answer; names the field that has the address.
    """
    bucket, name = _opened(address, field)
    entry = bucket.entry(name)
    if entry is None:
        check_bucket(address, field)
        raise UserError(f"{field}: there is no {address}; give the address of a file")
    return entry


def fetch_object(address: str, path: Path, field: str, progress: Progress = no_progress) -> None:
    """Stream the object at an address into a file.

    Raises:
        UserError: as for `find_object`; or the disk has no room for it, or it changes meanwhile.
    """
    bucket, name = _opened(address, field)
    before = find_object(address, field)
    free = shutil.disk_usage(path.parent).free
    if before.size > free:
        raise UserError(f"{address}: has {before.size:,} bytes, and the disk of {path.parent} has room for {free:,}")
    bucket.download(name, path, lambda done: progress(done, before.size, f"bytes of {name}"))
    if find_object(address, field) != before:
        raise UserError(f"{address}: changed while it was read; rerun once nobody writes to it")


def send_object(path: Path, address: str, field: str) -> None:
    """Write a file's bytes to an address, over what is there.

    Raises:
        UserError: the bucket does not answer, or refuses.
    """
    bucket, name = _opened(address, field)
    bucket.upload(path, name)


def _opened(address: str, field: str) -> tuple[Bucket, str]:
    folder, _, name = address.rpartition("/")
    if not name or folder.endswith("/"):
        raise UserError(f"{field}: {address} names no file; give an address such as s3://bucket/rows.csv")
    return Bucket(folder, setting=field), name
