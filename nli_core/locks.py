"""Exclusive locks between processes (`flock`). The kernel frees a lock when its holder dies."""

import fcntl
import os
from pathlib import Path
from types import TracebackType


class FileLock:
    """A lock on a file or folder. The `with` block opens and closes it; closing frees the lock."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Without `create`, entering the block raises FileNotFoundError for a missing file."""
        self._path, self._create = path, create
        self._handle = -1

    def __enter__(self) -> "FileLock":
        flags = os.O_RDONLY if self._path.is_dir() else os.O_RDWR | (os.O_CREAT if self._create else 0)
        self._handle = os.open(self._path, flags, 0o666)  # less the umask: a group may share them
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._handle)

    def try_acquire(self) -> bool:
        """Take the lock unless another process holds it; return whether this one holds it now."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self) -> None:
        """Wait for the lock and take it."""
        fcntl.flock(self._handle, fcntl.LOCK_EX)

    @property
    def is_deleted(self) -> bool:
        """Whether the locked file was deleted since it was opened."""
        return os.fstat(self._handle).st_nlink == 0
