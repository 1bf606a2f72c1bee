"""Checkpoints of trainings that are under way, in a bucket: if a machine dies, another one resumes.

checkpoints/<kind>/<key>/<checkpoint>.json    names, sizes and digests of its files, whose bytes are blobs
"""

import shutil
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nli_core.callbacks import Progress, no_progress
from nli_core.log import LOGGER
from nli_core.remote.blobs import are_safe, pull_files, push_files
from nli_core.remote.bucket import Bucket
from nli_core.store.manifest import FileRecord, records_of

CHECKPOINTS = "checkpoints"
_RECORDS = TypeAdapter(dict[str, FileRecord])


class RemoteCheckpoints:
    """The checkpoints of one training in a bucket. Their names sort by their age. Methods raise `BucketError`."""

    def __init__(self, bucket: Bucket, kind: str, key: str) -> None:
        self.bucket = bucket
        self._folder = f"{CHECKPOINTS}/{kind}/{key}"

    def push(self, checkpoint: Path) -> None:
        """Bring a checkpoint's folder to the bucket, and delete the older ones there."""
        records = records_of(checkpoint)
        push_files(self.bucket, checkpoint, records, no_progress)
        name = f"{self._folder}/{checkpoint.name}.json"
        self.bucket.write(name, _RECORDS.dump_json(records))
        self._delete([each for each in self._names() if each < name])

    def pull(self, into: Path, scratch: Path, progress: Progress = no_progress) -> str | None:
        """Bring the newest checkpoint to a folder below `into`, whole or not at all; return its name.

        A checkpoint there that is as new stays, and nothing is brought.
        """
        for name in sorted(self._names(), reverse=True):
            checkpoint = Path(name).stem
            if any(path.name >= checkpoint for path in into.glob("*/")):
                return None
            arrived = scratch / checkpoint
            records = read_records(self.bucket, name)
            if records is not None and pull_files(self.bucket, arrived, records, progress):
                into.mkdir(exist_ok=True)
                arrived.rename(into / checkpoint)
                return checkpoint
            shutil.rmtree(arrived, ignore_errors=True)
        return None

    def delete(self) -> None:
        """Delete the checkpoints of a training that is finished, or begins again; their blobs stay until a sweep."""
        self._delete(self._names())

    def _names(self) -> list[str]:
        return [entry.name for entry in self.bucket.entries(self._folder)]

    def _delete(self, names: list[str]) -> None:
        if names:
            self.bucket.delete(names)


def read_records(bucket: Bucket, name: str) -> dict[str, FileRecord] | None:
    """Read which files a checkpoint in the bucket has; None if it is gone, or not what a push writes."""
    body = bucket.read(name)
    try:
        records = _RECORDS.validate_json(body) if body is not None else None
    except ValidationError:
        records = None
    if not records or not are_safe(records):
        LOGGER.warning("%s/%s was altered since it was written", bucket.address, name)
        return None
    return records
