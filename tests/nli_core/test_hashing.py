"""A file's digest is that of its present bytes, though each file is read once."""

import hashlib
import os
import threading
from io import FileIO
from pathlib import Path

import pytest

from nli_core import hashing
from nli_core.hashing import file_sha256


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts how often a file is read to be hashed, and takes every file for long unchanged."""
    read = hashing._sha256
    descriptors: list[int] = []

    def counted(file: FileIO) -> str:
        descriptors.append(file.fileno())
        return read(file)

    monkeypatch.setattr(hashing, "_sha256", counted)
    monkeypatch.setattr(hashing, "_SETTLED_NS", 0)
    return descriptors


@pytest.mark.parametrize("size", [0, 1, hashing._CHUNK, 2 * hashing._CHUNK + 3])
def test_the_digest_is_that_of_the_bytes(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_threads_that_ask_for_one_file_read_it_once(tmp_path: Path, reads: list[int]) -> None:
    content = os.urandom(5 * hashing._CHUNK)
    (tmp_path / "file").write_bytes(content)
    digests: list[str] = []
    threads = [threading.Thread(target=lambda: digests.append(file_sha256(tmp_path / "file"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert digests == [hashlib.sha256(content).hexdigest()] * 8
    assert len(reads) == 1


def test_a_file_whose_status_changed_is_read_again(tmp_path: Path, reads: list[int]) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    file_sha256(path)
    status = path.stat()
    path.write_bytes(b"altera")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # the time of the change itself cannot be set
    assert file_sha256(path) == hashlib.sha256(b"altera").hexdigest()
    assert len(reads) == 2


def test_a_file_that_was_just_written_is_read_each_time(tmp_path: Path) -> None:
    """So that two changes within one tick of the file system's clock are seen."""
    path = tmp_path / "file"
    for content in (b"1", b"2", b"3"):
        path.write_bytes(content)
        assert file_sha256(path) == hashlib.sha256(content).hexdigest()


def test_a_file_that_cannot_be_read_is_tried_again(tmp_path: Path, reads: list[int]) -> None:
    with pytest.raises(FileNotFoundError):
        file_sha256(tmp_path / "file")
    (tmp_path / "file").write_bytes(b"here")
    assert file_sha256(tmp_path / "file") == hashlib.sha256(b"here").hexdigest()
