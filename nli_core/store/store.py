"""The stage store: the one truth about what is done.

    <store>/<stage>/<key>/              a finished output, its manifest.json included
    <store>/<stage>/<key>.partial/      an output in the making; a killed stage goes on in it
    <store>/locks/<stage>-<key>.lock    held (flock) by whoever works on the key; the kernel frees it with its holder

The key is the SHA-256 of the canonical JSON of the stage's name and its *ingredients*: the config fields that change
the result, the digests of the files that it consumes, and the digests of the core code that it runs. The manifest
is written into the partial folder last; one rename then makes the whole output appear under its final name.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nli_core import atomic
from nli_core.callbacks import ShouldStop, StoppedError, never
from nli_core.config import STAGES, Stage
from nli_core.errors import UserError
from nli_core.store.manifest import (
    MANIFEST_NAME,
    FileRecord,
    Manifest,
    Output,
    canonical_digest,
    damage_of,
    read_output,
)

PARTIAL_SUFFIX = ".partial"
_DISCARDED_SUFFIX = ".discarded"
_MIB = 2**20
_POLL_SECONDS = 0.1

Ingredients = Mapping[str, Any]


class Claim:
    """The right to work on one key, held until the `with` block of `Store.claim` ends."""

    def __init__(self, folder: Path, stage: Stage, key: str, ingredients: Ingredients, done: Output | None) -> None:
        self.folder = folder
        self.stage = stage
        self.key = key
        self.done = done
        self.partial = folder.with_name(folder.name + PARTIAL_SUFFIX)
        self._ingredients = dict(ingredients)
        self._started = time.monotonic()

    def complete(self, facts: Mapping[str, Any], made_with: Mapping[str, Any] | None = None) -> Output:
        """Make everything in the partial folder durable and let it appear as the finished output.

        `made_with`: code, versions and hardware, for whoever wants to repeat it.
        """
        files = {
            str(path.relative_to(self.partial)): FileRecord(size=path.stat().st_size, sha256=atomic.file_sha256(path))
            for path in sorted(self.partial.rglob("*"))
            if path.is_file()
        }
        manifest = Manifest(
            stage=self.stage,
            key=self.key,
            ingredients=self._ingredients,
            files=files,
            facts=dict(facts),
            made_with=dict(made_with or {}),
            seconds=round(time.monotonic() - self._started, 3),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        ).sealed()
        atomic.sync_tree(self.partial)
        atomic.write_text(self.partial / MANIFEST_NAME, manifest.model_dump_json(indent=1))
        discarded = self.folder.with_name(self.folder.name + _DISCARDED_SUFFIX)
        if self.folder.exists():
            self.folder.rename(discarded)
        self.partial.rename(self.folder)
        atomic.sync(self.folder.parent)
        shutil.rmtree(discarded, ignore_errors=True)
        return Output(self.folder, manifest)


class Store:
    """Finished stage outputs below one folder, found by what they were made from."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: Stage, key: str) -> Path:
        """Where the output of this key is, or would be."""
        return self.root / stage / key

    def load(self, stage: Stage, key: str) -> Output | None:
        """The output of this key as its manifest describes it, its files unverified; None if there is none."""
        return read_output(self.folder(stage, key))

    def outputs(self, stage: Stage) -> list[Output]:
        """All finished outputs of a stage, oldest first."""
        folders = sorted((self.root / stage).glob("*/"))
        found = [
            read_output(folder) for folder in folders if not folder.name.endswith((PARTIAL_SUFFIX, _DISCARDED_SUFFIX))
        ]
        return sorted((output for output in found if output), key=lambda output: output.manifest.created)

    def damages(self) -> list[str]:
        """What is wrong with any finished output; reads every file."""
        folders = sorted(folder for stage in STAGES for folder in (self.root / stage).glob("*/"))
        finished = [folder for folder in folders if not folder.name.endswith((PARTIAL_SUFFIX, _DISCARDED_SUFFIX))]
        return [damage for folder in finished if (damage := damage_of(folder))]

    def leftovers(self) -> list[Path]:
        """Folders of stages that did not finish, or whose replacement was cut off."""
        return sorted(
            folder
            for stage in STAGES
            for folder in (self.root / stage).glob("*/")
            if folder.name.endswith((PARTIAL_SUFFIX, _DISCARDED_SUFFIX)) or read_output(folder) is None
        )

    @contextmanager
    def claim(
        self,
        stage: Stage,
        ingredients: Ingredients,
        *,
        force: bool = False,
        say: Callable[[str], object] = print,
        should_stop: ShouldStop = never,
    ) -> Iterator[Claim]:
        """Hold the key of these ingredients: wait for whoever holds it, then reuse its output or make it.

        `done` of the claim is the finished, verified output, unless `force` asks for the work again. Otherwise the
        claim's `partial` folder exists, with what a killed predecessor left in it; `force` starts it afresh.
        `say` is told when another process is waited for and when a finished output turns out to be damaged.

        Raises:
            UserError: the block failed for want of room on the disk.
            StoppedError: `should_stop` said so while another process was waited for.
        """
        key = stage_key(stage, ingredients)
        folder = self.folder(stage, key)
        folder.parent.mkdir(parents=True, exist_ok=True)
        waiting = f"{stage}: waiting for another run that is doing the same work"
        with self.alone(f"{stage}-{key}", waiting, say, should_stop):
            _restore_discarded(folder)
            done = None if force else read_output(folder)
            if not force and folder.exists() and (damage := damage_of(folder)):
                say(f"{stage}: {damage}; doing the work again")
                done = None
            claim = Claim(folder, stage, key, ingredients, done)
            if done or force:
                shutil.rmtree(claim.partial, ignore_errors=True)
            if not done:
                claim.partial.mkdir(exist_ok=True)
                # Of one that was killed on its way to the final name, the manifest too is written anew.
                (claim.partial / MANIFEST_NAME).unlink(missing_ok=True)
                atomic.discard_partial_files(claim.partial)
            try:
                yield claim
            except Exception as error:
                if atomic.disk_is_full(error):
                    raise UserError(_no_room(claim)) from error
                raise

    def remove(self, folder: Path) -> None:
        """Delete an output or a leftover; a half-deleted one is never taken for a finished one."""
        discarded = folder.with_name(folder.name.removesuffix(_DISCARDED_SUFFIX) + _DISCARDED_SUFFIX)
        if folder != discarded:
            # Without its manifest, a discarded folder cannot be restored.
            (folder / MANIFEST_NAME).unlink(missing_ok=True)
            folder.rename(discarded)
        shutil.rmtree(discarded)

    def in_use(self, stage: Stage, key: str) -> bool:
        """Whether some process works on this key right now."""
        with self._lock_file(f"{stage}-{key}") as handle:
            return not _locked(handle)

    @contextmanager
    def _lock_file(self, name: str) -> Iterator[int]:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        handle = os.open(locks / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            yield handle
        finally:
            os.close(handle)

    @contextmanager
    def alone(
        self, name: str, waiting: str, say: Callable[[str], object], should_stop: ShouldStop = never
    ) -> Iterator[None]:
        """Hold the lock `name` of this store; `say` is told `waiting` if another process holds it.

        Raises:
            StoppedError: `should_stop` said so while the other held it.
        """
        with self._lock_file(name) as handle:
            if not _locked(handle):
                say(waiting)
            while not _locked(handle):
                if should_stop():
                    raise StoppedError(f"{waiting}: stopped")
                time.sleep(_POLL_SECONDS)
            yield


def _locked(handle: int) -> bool:
    """Whether the lock of this file is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def stage_key(stage: Stage, ingredients: Ingredients) -> str:
    """The name of a stage's output: a SHA-256 over the stage and all that its result depends on."""
    return canonical_digest({"stage": stage, "ingredients": ingredients})


def _no_room(claim: Claim) -> str:
    held = sum(path.stat().st_size for path in claim.partial.rglob("*") if path.is_file()) / _MIB
    free = shutil.disk_usage(claim.partial).free / _MIB
    return (
        f"{claim.stage}: the disk of {claim.partial} is full: {free:,.0f} MiB are free, and what there is so far takes "
        f"{held:,.0f} MiB already; make room (`nli store prune` says what may go), and the same command goes on"
    )


def _restore_discarded(folder: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    discarded = folder.with_name(folder.name + _DISCARDED_SUFFIX)
    if read_output(folder) is None and (discarded / MANIFEST_NAME).exists():
        shutil.rmtree(folder, ignore_errors=True)
        discarded.rename(folder)
    shutil.rmtree(discarded, ignore_errors=True)
