"""Finished outputs in a bucket, which any machine reuses.

    blobs/<sha256>                  the bytes of a file
    outputs/<kind>/<key>.json       a manifest, written last: all its blobs are there
    checkpoints/<kind>/<key>/...    unfinished trainings (`checkpoints`)

No lock is needed: blobs are named by their content, and of two writers of a manifest the first wins.
"""

from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from nli_core.callbacks import Progress, no_progress
from nli_core.log import LOGGER
from nli_core.remote.blobs import are_safe, has_files, pull_files, push_files
from nli_core.remote.bucket import Bucket, Entry
from nli_core.remote.checkpoints import RemoteCheckpoints
from nli_core.store.manifest import MANIFEST_NAME, Manifest, Output
from nli_core.store.store import output_key

OUTPUTS = "outputs"


class RemoteOutputs:
    """The finished outputs in a bucket. Methods raise `BucketError`."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket

    def manifest(self, kind: str, key: str) -> Manifest | None:
        """Read the manifest of an output; None if there is none, or it is not what a push writes."""
        body = self.bucket.read(_name(kind, key))
        if body is None:
            return None
        try:
            manifest = Manifest.model_validate_json(body)
        except ValidationError:
            manifest = None
        if manifest is None or not _is_sound(manifest, kind, key):
            LOGGER.warning("%s/%s was altered since it was written", self.bucket.address, _name(kind, key))
            return None
        return manifest

    def has(self, kind: str, key: str) -> bool:
        """Return whether an output is in the bucket, with all its files by their sizes."""
        manifest = self.manifest(kind, key)
        return manifest is not None and has_files(self.bucket, manifest.files)

    def manifests(self) -> Iterator[tuple[Manifest, Entry]]:
        """Read the manifests of all outputs, by kind and key."""
        for entry in sorted(self.bucket.entries(OUTPUTS)):
            path = Path(entry.name)
            if manifest := self.manifest(path.parent.name, path.stem):
                yield manifest, entry

    def pull(self, manifest: Manifest, into: Path, progress: Progress = no_progress) -> bool:
        """Bring the files of an output to the folder `into`, each verified; return whether the bucket has them all.

        What a killed pull left in the folder is kept.
        """
        return pull_files(self.bucket, into, manifest.files, progress)

    def push(self, output: Output, *, replace: bool = False, progress: Progress = no_progress) -> Manifest:
        """Bring an output to the bucket; return the manifest that is there afterwards.

        It is another machine's if that one was first and its files differ, unless `replace` or it is not whole.
        """
        mine, kind = output.manifest, output.manifest.kind
        push_files(self.bucket, output.folder, mine.files, progress)
        name, body = _name(kind, mine.key), mine.model_dump_json(indent=1, by_alias=True).encode()
        if not replace:
            if self.bucket.write_new(name, body):
                return mine
            first = self.manifest(kind, mine.key)
            if first is not None and has_files(self.bucket, first.files):
                return first
        self.bucket.write(name, body)
        return mine

    def delete_checkpoints(self, kind: str, key: str) -> None:
        """Delete the checkpoints of a training that is finished."""
        RemoteCheckpoints(self.bucket, kind, key).delete()


def _name(kind: str, key: str) -> str:
    return f"{OUTPUTS}/{kind}/{key}.json"


def _is_sound(manifest: Manifest, kind: str, key: str) -> bool:
    """Return whether a manifest is that of this key, whole, and names files below its own folder alone."""
    return (
        (manifest.kind, manifest.key) == (kind, key)
        and output_key(kind, manifest.key_inputs) == key
        and manifest == manifest.sealed()
        and MANIFEST_NAME not in manifest.files
        and are_safe(manifest.files)
    )
