"""The bucket behind the store during a run: missing outputs are pulled, finished ones pushed.

A bucket that does not answer fails no stage: work is done here then, and pushed later.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nli_core.callbacks import ShouldStop, never
from nli_core.config import OutputKind
from nli_core.errors import UserError
from nli_core.filenames import ENCODER, MODEL
from nli_core.log import LOGGER
from nli_core.model.architecture import CONFIG_NAME
from nli_core.run.plan import Elsewhere
from nli_core.store.claim import Claim
from nli_core.store.manifest import KeyInputs, Manifest, Output
from nli_core.store.store import output_key
from tasks.runtime.progress import StageProgress
from tasks.settings import REMOTE, Settings

if TYPE_CHECKING:
    from nli_core.remote.outputs import RemoteOutputs

Result = TypeVar("Result")

_DESCRIPTIONS = (f"{ENCODER}/{CONFIG_NAME}", f"{MODEL}/{CONFIG_NAME}")
_UNPUSHED = "unpushed"
_AWAY_SECONDS = 300.0
_AWAY_UNTIL: dict[str, float] = {}  # by the bucket's address, on this process' clock


def remote_outputs(settings: Settings) -> "RemoteOutputs | None":
    """Return the outputs in the bucket behind the store; None without `NLI_REMOTE`.

    Raises:
        UserError: the address is malformed.
    """
    if settings.remote is None:
        return None
    from nli_core.remote.bucket import Bucket
    from nli_core.remote.outputs import RemoteOutputs

    return RemoteOutputs(Bucket(settings.remote, setting=REMOTE))


def needed_outputs(settings: Settings) -> "RemoteOutputs":
    """Return the outputs in the bucket behind the store.

    Raises:
        UserError: `NLI_REMOTE` is not set, or malformed.
    """
    remote = remote_outputs(settings)
    if remote is None:
        raise UserError(f"{REMOTE} is not set; name the bucket behind the store, such as s3://bucket/prefix")
    return remote


def pull_output(settings: Settings, claim: Claim, stop: ShouldStop) -> Output | None:
    """Make the bucket's output with this key the store's own; None if there is none that is whole."""
    remote = remote_outputs(settings)
    if remote is None:
        return None

    def pull() -> Manifest | None:
        manifest = remote.manifest(claim.kind, claim.key)
        if manifest:
            with StageProgress(claim.kind, stop) as progress:
                if remote.pull(manifest, claim.pulled, progress):
                    return manifest
        return None

    manifest = _try(settings, pull, stop, otherwise=f"{claim.kind}: running here")
    if manifest:
        return claim.adopt(manifest)
    shutil.rmtree(claim.pulled, ignore_errors=True)
    return None


def pulled_from_bucket(settings: Settings) -> Elsewhere:
    """Make a function that pulls an output which the store lacks."""

    def pull(kind: OutputKind, inputs: KeyInputs) -> Output | None:
        with found_in_bucket(settings) as find:
            if find(kind, inputs) is None:
                return None
        with settings.store.claim(kind, inputs) as claim:
            return claim.done or pull_output(settings, claim, never)

    return pull


@contextmanager
def found_in_bucket(settings: Settings) -> Iterator[Elsewhere]:
    """Yield a function that looks for an output in the bucket, by its manifest.

    Of its files only the description of a model comes to this machine, for the block: it says whose code the keys
    count.
    """
    remote = remote_outputs(settings)
    with tempfile.TemporaryDirectory() as scratch:

        def find(kind: OutputKind, inputs: KeyInputs) -> Output | None:
            if remote is None:
                return None
            key, into = output_key(kind, inputs), Path(scratch) / kind

            def look_up() -> Output | None:
                if (manifest := remote.manifest(kind, key)) is None:
                    return None
                described = {name: manifest.files[name] for name in _DESCRIPTIONS if name in manifest.files}
                whole = remote.pull(manifest.model_copy(update={"files": described}), into)
                return Output(into, manifest) if whole else None

            return _try(settings, look_up, never, otherwise=f"{kind}: not looked up in the bucket")

        yield find


def push_output(settings: Settings, claim: Claim, output: Output, stop: ShouldStop, *, replace: bool) -> Output:
    """Bring an output to the bucket, and return the one to use from here: another machine's, if that was first.

    `replace` brings this one in any case. What is not pushed now is pushed by a later run, or by `nli store push`.
    """
    remote = remote_outputs(settings)
    if remote is None:
        return output
    marker = _marker(settings, claim.kind, claim.key)
    marker.parent.mkdir(exist_ok=True)
    marker.touch()

    def push() -> Manifest:
        with StageProgress(claim.kind, stop) as progress:
            first = remote.push(output, replace=replace, progress=progress)
            same = first.files == output.manifest.files or not remote.pull(first, claim.pulled, progress)
        remote.delete_checkpoints(claim.kind, claim.key)
        return output.manifest if same else first

    later = f"{claim.kind}: not pushed; a later run pushes it, or `nli store push`"
    first = _try(settings, push, stop, otherwise=later)
    if first:
        marker.unlink(missing_ok=True)
    if first is None or first is output.manifest:
        return output
    LOGGER.info("%s: another machine was first; taking its output", claim.kind)
    return claim.adopt(first)


def is_unpushed(settings: Settings, kind: str, key: str) -> bool:
    """Return whether a push of this output was not completed."""
    return settings.remote is not None and _marker(settings, kind, key).exists()


def push_missing(settings: Settings, remote: "RemoteOutputs", output: Output) -> bool:
    """Bring a finished output to the bucket unless it is there whole; return whether it was brought."""
    kind, key = output.manifest.kind, output.key
    if missing := not remote.has(kind, key):
        remote.push(output)
    _marker(settings, kind, key).unlink(missing_ok=True)
    return missing


def _marker(settings: Settings, kind: str, key: str) -> Path:
    return settings.store.root / _UNPUSHED / f"{kind}-{key}"


def is_away(settings: Settings) -> bool:
    """Return whether the bucket did not answer a short while ago; each request would wait for it again."""
    return time.monotonic() < _AWAY_UNTIL.get(str(settings.remote), 0.0)


def _try(settings: Settings, work: Callable[[], Result], stop: ShouldStop, *, otherwise: str) -> Result | None:
    """Return what `work` returns. If the bucket is away, say what happens otherwise, and return None.

    Raises:
        StoppedError: `stop` returned true; a request that hangs does not delay that.
    """
    from nli_core.remote.bucket import BucketError
    from nli_core.remote.threads import wait_for

    if is_away(settings):
        LOGGER.warning("%s (the bucket did not answer before)", otherwise)
        return None
    try:
        return wait_for(work, stop)
    except BucketError as error:
        _AWAY_UNTIL[str(settings.remote)] = time.monotonic() + _AWAY_SECONDS
        LOGGER.warning("%s (%s)", otherwise, error)
        return None
