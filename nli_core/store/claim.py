"""The right to work on one key, and how finished work becomes an output."""

import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nli_core import atomic
from nli_core.store.manifest import MANIFEST_NAME, KeyInputs, Manifest, Output, records_of

PARTIAL_SUFFIX = ".partial"
DISCARDED_SUFFIX = ".discarded"
_SCRATCH, _PULLED = ".scratch", "pulled"
_MIB = 2**20


class Claim:
    """A locked key. `done` is its finished output; without one, `partial` is the folder to fill.

    The `with` block of `Store.claim` holds the lock.
    """

    def __init__(self, folder: Path, kind: str, key: str, inputs: KeyInputs, done: Output | None) -> None:
        self.folder = folder
        self.kind = kind
        self.key = key
        self.done = done
        self.partial = folder.with_name(folder.name + PARTIAL_SUFFIX)
        self._inputs = dict(inputs)
        self._started = time.monotonic()

    def complete(self, facts: Mapping[str, Any], made_with: Mapping[str, Any] | None = None) -> Output:
        """Flush the partial folder to the disk, write its manifest and rename it to the finished output.

        `made_with` describes code, versions and hardware, for whoever repeats the work.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)
        manifest = Manifest(
            stage=self.kind,
            key=self.key,
            ingredients=self._inputs,
            files=records_of(self.partial),
            facts=dict(facts),
            made_with=dict(made_with or {}),
            seconds=round(time.monotonic() - self._started, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ).sealed()
        return self._publish(self.partial, manifest)

    @property
    def scratch(self) -> Path:
        """A folder for files that are no part of the output."""
        return self.partial / _SCRATCH

    @property
    def pulled(self) -> Path:
        """The folder for the files of another machine's output; what a killed pull left there may be used."""
        return self.scratch / _PULLED

    def adopt(self, manifest: Manifest) -> Output:
        """Make the files in `pulled`, verified by their manifest, the finished output; unfinished work goes."""
        output = self._publish(self.pulled, manifest)
        shutil.rmtree(self.partial)
        return output

    def _publish(self, source: Path, manifest: Manifest) -> Output:
        atomic.sync_tree(source)
        atomic.write_text(source / MANIFEST_NAME, manifest.model_dump_json(indent=1, by_alias=True))
        discarded = self.folder.with_name(self.folder.name + DISCARDED_SUFFIX)
        if self.folder.exists():
            self.folder.rename(discarded)
        source.rename(self.folder)
        atomic.sync(self.folder.parent)
        shutil.rmtree(discarded, ignore_errors=True)
        return Output(self.folder, manifest)

    def full_disk_message(self, refusal: str) -> str:
        """Describe a disk that takes no more: how much is free, how much this claim holds, and what to do."""
        held = sum(path.stat().st_size for path in self.partial.rglob("*") if path.is_file()) / _MIB
        free = shutil.disk_usage(self.partial).free / _MIB
        return (
            f"{self.kind}: the disk of {self.partial} takes no more ({refusal}): {free:,.0f} MiB are free, and this "
            f"output holds {held:,.0f} MiB so far; free some space (`nli store prune` lists what may go) or raise the "
            "limit, then rerun the command to resume"
        )
