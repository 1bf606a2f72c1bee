"""SHA-256 of files, folders and plain values."""

import hashlib
import json
import os
import time
from concurrent.futures import Future
from io import FileIO
from pathlib import Path

_CHUNK = 2**20  # a thread that hashes beside a busy one waits for Python's lock at each
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system
_known: dict[tuple[int, ...], Future[str]] = {}


def file_sha256(path: Path) -> str:
    """Hash a file's bytes; the digest is in hexadecimal.

    A process reads a file once, whichever of its threads asks, for as long as the file's status does not change. A file
    changed within two seconds is read each time, since its clock may be too coarse to show another change.
    """
    with path.open("rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        if time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns) < _SETTLED_NS:
            return _sha256(file)
        mine: Future[str] = Future()
        identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        found = _known.setdefault(identity, mine)
        if found is mine:
            try:
                mine.set_result(_sha256(file))
            except BaseException as error:
                del _known[identity]
                mine.set_exception(error)
                raise
    return found.result()


def _sha256(file: FileIO) -> str:
    digest, buffer = hashlib.sha256(), memoryview(bytearray(_CHUNK))
    while read := file.readinto(buffer):
        digest.update(buffer[:read])
    return digest.hexdigest()


def folder_digests(folder: Path) -> dict[str, str]:
    """Hash every file below `folder`; keys are the paths from there."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): file_sha256(path) for path in paths}


def canonical_digest(value: object) -> str:
    """Hash a value's canonical JSON: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
