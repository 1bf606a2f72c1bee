"""Which objects of a bucket nobody needs: mark from manifests and checkpoints, and sweep what is old."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nli_core.remote.blobs import BLOBS, GRACE
from nli_core.remote.bucket import Bucket, Entry
from nli_core.remote.checkpoints import CHECKPOINTS, read_records
from nli_core.remote.outputs import OUTPUTS, RemoteOutputs


@dataclass(frozen=True)
class Sweep:
    """Objects of a bucket that may go; none of them is younger than the grace."""

    bucket: Bucket
    entries: list[Entry]

    def delete(self) -> int:
        """Delete the objects, except those that were renewed meanwhile; return how many are gone."""
        old = [each.name for each in self.entries if self.bucket.entry(each.name) == each]
        if old:
            self.bucket.delete(old)
        return len(old)


def unneeded(bucket: Bucket, *, outputs_too: bool = False) -> Sweep:
    """Find checkpoints of finished trainings and blobs that nothing refers to; with `outputs_too`, all outputs.

    Which outputs are needed nobody knows: other machines may track their runs elsewhere. What is younger than the
    grace stays, since a push may be under way. Blobs of an output that goes now go with the next sweep after that.
    """
    outputs, now = RemoteOutputs(bucket), datetime.now(UTC)
    marked: set[str] = set()
    finished: set[str] = set()
    goes: list[Entry] = []
    for manifest, entry in outputs.manifests():
        finished.add(manifest.key)
        marked |= {record.sha256 for record in manifest.files.values()}
        if outputs_too:
            goes.append(entry)
    for entry in bucket.entries(CHECKPOINTS):
        marked |= {record.sha256 for record in (read_records(bucket, entry.name) or {}).values()}
        if Path(entry.name).parent.name in finished:
            goes.append(entry)
    goes += [entry for entry in bucket.entries(BLOBS) if Path(entry.name).name not in marked]
    return Sweep(bucket, [entry for entry in goes if now - entry.modified > GRACE])


def damages_of(bucket: Bucket) -> list[str]:
    """Read every blob that an output refers to; describe each that is missing or altered, and altered manifests."""
    outputs, found = RemoteOutputs(bucket), []
    digests: dict[str, str] = {}
    sound = set()
    for manifest, entry in outputs.manifests():
        sound.add(entry.name)
        digests |= {record.sha256: f"{manifest.kind}/{manifest.key[:12]}" for record in manifest.files.values()}
    found += [
        f"{bucket.address}/{entry.name} was altered since it was written"
        for entry in bucket.entries(OUTPUTS)
        if entry.name not in sound
    ]
    for digest, user in digests.items():
        actual = bucket.digest(f"{BLOBS}/{digest}")
        if actual != digest:
            what = "is missing" if actual is None else "was altered"
            found.append(f"{bucket.address}/{BLOBS}/{digest} of {user} {what}")
    return found
