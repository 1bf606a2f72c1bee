"""Reads what a run will verify while the command still imports its libraries."""

from contextlib import suppress
from threading import Thread

from nli_core.config import Stage
from nli_core.errors import UserError
from nli_core.hashing import file_sha256
from nli_core.run.config import RunConfig
from nli_core.run.kinds import kinds_until, upstream_of
from nli_core.run.plan import Outputs, key_inputs
from nli_core.store.store import Store, output_key


def hash_ahead(config: RunConfig, store: Store, until: Stage) -> Thread:
    """Hash the files of a run's finished outputs in a thread; the stages then find the digests in `file_sha256`.

    Imports keep one core busy and hashing another. What fails here fails in its stage, which says so.
    """
    thread = Thread(target=_hash, args=(config, store, until), name="hash ahead", daemon=True)
    thread.start()
    return thread


def _hash(config: RunConfig, store: Store, until: Stage) -> None:
    found: Outputs = {}
    with suppress(UserError, OSError):
        for kind in kinds_until(until, config):
            if found.keys() >= set(upstream_of(kind, config)):
                output = store.load(kind, output_key(kind, key_inputs(kind, config, found)))
                if output is not None:
                    found[kind] = output
                    for name in output.manifest.files:
                        file_sha256(output.folder / name)
