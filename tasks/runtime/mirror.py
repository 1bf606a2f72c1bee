"""A training's checkpoints in the bucket behind the store: if this machine dies, another one resumes."""

import shutil
import threading
from functools import partial
from types import TracebackType

from nli_core.atomic import link_tree
from nli_core.callbacks import ShouldStop, StoppedError
from nli_core.filenames import CHECKPOINTS
from nli_core.log import LOGGER
from nli_core.remote.bucket import BucketError
from nli_core.remote.checkpoints import RemoteCheckpoints
from nli_core.remote.threads import wait_for
from nli_core.store.claim import Claim
from nli_core.training.checkpoint import newest_unfinished
from tasks.runtime.sharing import is_away, remote_outputs
from tasks.settings import Settings

_LEAST_SECONDS = 1.0
_TRIES = 3  # a checkpoint may be replaced while it is linked


class CheckpointMirror:
    """Brings the newest checkpoint to the bucket now and then, on a thread of its own; without a bucket, nothing.

    On entry it fetches the bucket's newest checkpoint, if that is ahead of this machine's. `fresh` deletes those of the
    bucket instead. A training that is asked to stop is mirrored once more. No fault of the bucket reaches the training.
    """

    def __init__(self, settings: Settings, claim: Claim, stop: ShouldStop, *, fresh: bool) -> None:
        outputs, self._settings = remote_outputs(settings), settings
        self._remote = RemoteCheckpoints(outputs.bucket, claim.kind, claim.key) if outputs else None
        self._stop = stop
        self._claim, self._fresh, self._seconds = claim, fresh, max(60 * settings.remote_minutes, _LEAST_SECONDS)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="checkpoint mirror", daemon=True)
        self._mirrored = ""

    def __enter__(self) -> None:
        """Fetch the newest checkpoint and begin to mirror."""
        if self._remote is None:
            return
        if not is_away(self._settings):
            self._look_up(self._remote)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread; mirror the checkpoint at which training stopped."""
        if self._remote is None:
            return
        self._over.set()
        self._thread.join()
        if isinstance(error, StoppedError):
            self._mirror()

    def _look_up(self, remote: RemoteCheckpoints) -> None:
        folder = self._claim.partial / CHECKPOINTS
        try:
            if self._fresh:
                wait_for(remote.delete, self._stop)
            elif name := wait_for(partial(remote.pull, folder, self._claim.scratch), self._stop):
                LOGGER.info("finetune: resuming from %s of %s", name, remote.bucket.address)
                self._mirrored = name
        except BucketError as error:
            LOGGER.warning("finetune: no checkpoint was looked up (%s)", error)

    def _work(self) -> None:
        while not self._over.wait(self._seconds):
            self._mirror()

    def _mirror(self) -> None:
        assert self._remote is not None
        links = self._claim.scratch / CHECKPOINTS
        try:
            for _ in range(_TRIES):
                newest = newest_unfinished(self._claim.partial / CHECKPOINTS)
                if newest is None or newest.name <= self._mirrored:
                    return
                shutil.rmtree(links, ignore_errors=True)
                try:
                    link_tree(newest, links / newest.name)
                except (FileNotFoundError, shutil.Error):
                    continue
                self._remote.push(links / newest.name)
                self._mirrored = newest.name
                LOGGER.info("finetune: mirrored %s", newest.name)
                return
        except BucketError as error:
            LOGGER.warning("finetune: the checkpoint is not mirrored (%s)", error)
        finally:
            shutil.rmtree(links, ignore_errors=True)
