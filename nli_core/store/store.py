"""The stage store: the one truth about what is done.

    <store>/<kind>/<key>/              a finished output, with its manifest.json
    <store>/<kind>/<key>.partial/      an unfinished output; a killed stage resumes in it
    <store>/locks/<kind>-<key>.lock    locked (flock) by the process that works on the key; other locks are beside it

The key is the SHA-256 of the canonical JSON of the output's kind and its key inputs: the config fields that change the
result, the digests of the files that the stage reads, and a digest of the code that it runs. The manifest is written
into the partial folder last. One rename then puts the whole output under its final name.
"""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nli_core import atomic
from nli_core.callbacks import ShouldStop, StoppedError, never
from nli_core.config import OUTPUT_KINDS
from nli_core.errors import UserError, disk_refusal, explained_refusals
from nli_core.hashing import canonical_digest
from nli_core.locks import FileLock
from nli_core.log import LOGGER
from nli_core.store.claim import DISCARDED_SUFFIX, PARTIAL_SUFFIX, Claim
from nli_core.store.manifest import MANIFEST_NAME, KeyInputs, Output, damage_of, read_output

_POLL_SECONDS = 0.1
_KINDS = (*OUTPUT_KINDS, "download")  # the last was of earlier versions: listed, verified and pruned
_KEYED = re.compile("[0-9a-f]{64}")
_SHARE = "share a store through a group and umask 002 (docs/teams.md), or set NLI_STORE to a folder that you can write"


class Store:
    """Finished stage outputs below one folder, found by their key."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def check_writable(self) -> None:
        """Make the folder of the store if there is none.

        Raises:
            UserError: it is no folder, or it or a folder in it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self._lock_path("any")
            folders = [self.root, *(folder for folder in self.root.iterdir() if folder.is_dir())]
        except OSError as error:
            raise UserError(f"{self.root}: cannot be the stage store ({error.strerror}); set NLI_STORE") from None
        for folder in folders:
            if not os.access(folder, os.W_OK | os.X_OK):
                raise UserError(f"{folder}: cannot be written; {_SHARE}")

    def folder(self, kind: str, key: str) -> Path:
        """Return the folder of the output with this key, whether it exists or not."""
        return self.root / kind / key

    def load(self, kind: str, key: str) -> Output | None:
        """Read the output with this key; its files are not verified. Return None for a missing output."""
        return read_output(self.folder(kind, key))

    def outputs(self, *kinds: str) -> list[Output]:
        """Read the finished outputs of the given kinds, or of all, oldest first."""
        found = [read_output(folder) for folder in self._keyed(*kinds) if not _is_leftover(folder)]
        return sorted((output for output in found if output), key=lambda output: output.manifest.age)

    def damages(self) -> list[str]:
        """Verify every file of every finished output; return one line for each damaged output."""
        finished = (folder for folder in self._keyed() if not _is_leftover(folder))
        return [damage for folder in finished if (damage := damage_of(folder))]

    def leftovers(self) -> list[Path]:
        """List the folders of stages that did not finish, or whose replacement was cut off."""
        return [folder for folder in self._keyed() if _is_leftover(folder) or read_output(folder) is None]

    def _keyed(self, *kinds: str) -> list[Path]:
        """List the folders that are named by a key; others are a user's."""
        folders = (folder for kind in kinds or _KINDS for folder in sorted((self.root / kind).glob("*/")))
        return [folder for folder in folders if _KEYED.match(folder.name)]

    @contextmanager
    def claim(
        self, kind: str, inputs: KeyInputs, *, force: bool = False, should_stop: ShouldStop = never
    ) -> Iterator[Claim]:
        """Lock the key of these inputs for the block, after waiting for any other holder.

        `done` of the claim is the finished, verified output. With `force`, or without an output, the claim's `partial`
        folder exists and holds what a killed predecessor left; `force` empties it.

        Raises:
            UserError: the disk is full, or a file of the store belongs to somebody else.
            StoppedError: `should_stop` returned true while another process held the lock.
        """
        key = output_key(kind, inputs)
        folder = self.folder(kind, key)
        waiting = f"{kind}: waiting for another run that does the same work"
        with self.lock(f"{kind}-{key}", waiting, should_stop):
            folder.parent.mkdir(exist_ok=True)
            if folder.is_symlink() and not folder.exists():
                raise UserError(f"{folder}: is a link that leads nowhere; delete it, then rerun")
            _restore_discarded(folder)
            done = None if force else read_output(folder)
            if not force and folder.exists() and (damage := damage_of(folder)):
                LOGGER.info("%s: %s; rerunning the stage", kind, damage)
                done = None
            claim = Claim(folder, kind, key, inputs, done)
            if done or force:
                shutil.rmtree(claim.partial, ignore_errors=True)
            if not done:
                claim.partial.mkdir(exist_ok=True)
                # A process killed just before its last rename leaves a manifest, which must not outlive new work.
                (claim.partial / MANIFEST_NAME).unlink(missing_ok=True)
                atomic.discard_partial_files(claim.partial)
            try:
                yield claim
            except Exception as error:
                if refusal := disk_refusal(error):
                    raise UserError(claim.full_disk_message(refusal)) from error
                raise

    def remove(self, folder: Path) -> None:
        """Delete an output or a leftover. A half-deleted output never counts as finished.

        Raises:
            UserError: it is a link: what it leads to is not the store's.
        """
        if folder.is_symlink():
            raise UserError(f"{folder}: is a link to a folder elsewhere; delete the link, or move the folder back")
        discarded = folder.with_name(folder.name.removesuffix(DISCARDED_SUFFIX) + DISCARDED_SUFFIX)
        if folder != discarded:
            # Without its manifest, a discarded folder cannot be restored.
            (folder / MANIFEST_NAME).unlink(missing_ok=True)
            folder.rename(discarded)
        shutil.rmtree(discarded)

    def in_use(self, kind: str, key: str) -> bool:
        """Return whether some process works on this key now."""
        with FileLock(self._lock_path(f"{kind}-{key}")) as lock:
            return not lock.try_acquire()

    @contextmanager
    def lock(self, name: str, waiting: str, should_stop: ShouldStop = never) -> Iterator[None]:
        """Hold the lock `name` of this store for the block; log `waiting` while another process holds it.

        Raises:
            StoppedError: `should_stop` returned true while the other process held it.
            UserError: the lock, or a file of the store that the block opens, belongs to somebody else.
        """
        with explained_refusals(_SHARE, below=self.root), FileLock(self._lock_path(name)) as lock:
            if not lock.try_acquire():
                LOGGER.info(waiting)
            while not lock.try_acquire():
                if should_stop():
                    raise StoppedError(f"{waiting}: stopped")
                time.sleep(_POLL_SECONDS)
            yield

    def _lock_path(self, name: str) -> Path:
        locks = self.root / "locks"
        locks.mkdir(parents=True, exist_ok=True)
        return locks / f"{name}.lock"


def output_key(kind: str, inputs: KeyInputs) -> str:
    """Hash an output's kind and its key inputs to its name."""
    return canonical_digest({"stage": kind, "ingredients": inputs})


def _is_leftover(folder: Path) -> bool:
    return folder.name.endswith((PARTIAL_SUFFIX, DISCARDED_SUFFIX))


def _restore_discarded(folder: Path) -> None:
    """Undo a replacement that was killed between its two renames."""
    discarded = folder.with_name(folder.name + DISCARDED_SUFFIX)
    if read_output(folder) is None and (discarded / MANIFEST_NAME).exists():
        shutil.rmtree(folder, ignore_errors=True)
        discarded.rename(folder)
    shutil.rmtree(discarded, ignore_errors=True)
