"""Files in a bucket by their content: `blobs/<sha256>`. Equal files are one object, and a name keeps its content."""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

from nli_core.callbacks import Progress
from nli_core.hashing import file_sha256
from nli_core.log import LOGGER
from nli_core.remote.bucket import Bucket
from nli_core.remote.threads import each_of
from nli_core.store.manifest import FileRecord

BLOBS = "blobs"
GRACE = timedelta(days=7)  # before an object that nothing refers to may be deleted
_TRANSFERS = 8  # at a time
_PULLED = "bytes pulled"
_READS = 2  # of an object that seems altered: the network may have done it
_DIGEST = re.compile("[0-9a-f]{64}")

Files = Mapping[str, FileRecord]
"""Size and digest of files, by their path from the folder that holds them."""


def push_files(bucket: Bucket, folder: Path, files: Files, progress: Progress) -> None:
    """Upload the files that the bucket lacks. One that is there and old is renewed, so that no sweep takes it now."""
    by_digest = {record.sha256: (folder / name, record.size) for name, record in files.items()}

    def push(digest: str) -> int:
        path, size = by_digest[digest]
        there = bucket.entry(_name(digest))
        if there is None or there.size != size or datetime.now(UTC) - there.modified > GRACE / 2:
            bucket.upload(path, _name(digest))
        return size

    _transfer(push, by_digest, sum(size for _, size in by_digest.values()), "bytes pushed", progress)


def pull_files(bucket: Bucket, folder: Path, files: Files, progress: Progress) -> bool:
    """Download files into `folder`, and keep those that are there; return whether all came as their digests say.

    An object whose bytes are not those of its name, read twice, is deleted, so that the next push brings it again.
    """
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
    total = sum(record.size for record in files.values())
    arrived = dict.fromkeys(files, 0)

    def pull(name: str) -> int:
        def received(size: int) -> None:
            arrived[name] = size
            progress(min(sum(arrived.values()), total - 1), total, _PULLED)

        path, wanted = folder / name, files[name]
        if path.is_file() and path.stat().st_size == wanted.size and file_sha256(path) == wanted.sha256:
            return wanted.size
        for _ in range(_READS):
            found = bucket.download(_name(wanted.sha256), path, received)
            if found == wanted.sha256:
                return wanted.size
        path.unlink(missing_ok=True)
        blob = f"{bucket.address}/{_name(wanted.sha256)}"
        if found is None:
            LOGGER.warning("%s is missing", blob)
        else:
            LOGGER.warning("%s was altered; deleting it", blob)
            bucket.delete([_name(wanted.sha256)])
        return -1

    return _transfer(pull, files, total, _PULLED, progress)


def has_files(bucket: Bucket, files: Files) -> bool:
    """Return whether the bucket has all these files, by their sizes."""

    def has(record: FileRecord) -> bool:
        entry = bucket.entry(_name(record.sha256))
        return entry is not None and entry.size == record.size

    return all(each_of(has, files.values(), _TRANSFERS))


def are_safe(files: Files) -> bool:
    """Return whether the names can be those of files below a folder, and the digests are digests."""
    folders = {str(parent) for name in files for parent in PurePosixPath(name).parents}
    return not folders & files.keys() and all(
        name == str(path := PurePosixPath(name))
        and not path.is_absolute()
        and not {"..", "."} & {*path.parts, name}
        and "\0" not in name
        and _DIGEST.fullmatch(record.sha256)
        for name, record in files.items()
    )


def _name(digest: str) -> str:
    return f"{BLOBS}/{digest}"


def _transfer(move: Callable[[str], int], keys: Iterable[str], total: int, note: str, progress: Progress) -> bool:
    """Move several at a time; return whether none of them said -1."""
    done, whole = 0, True
    for size in each_of(move, keys, _TRANSFERS):
        whole, done = whole and size >= 0, done + max(size, 0)
        progress(done, total, note)
    return whole
