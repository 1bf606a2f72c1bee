"""Which folders of the stage store nobody needs."""

from pathlib import Path

from nli_core.config import STAGES, Stage
from nli_core.errors import UserError
from nli_core.remote.sweep import Sweep, unneeded
from nli_core.store.claim import DISCARDED_SUFFIX, PARTIAL_SUFFIX
from tasks.runtime.liveness import keys_in_use
from tasks.runtime.sharing import needed_outputs
from tasks.settings import Settings
from tasks.tracking.runs import referenced_keys


def prunable(settings: Settings, *, keep_referenced: bool) -> list[Path]:
    """List leftovers, and outputs whose keys no MLflow run names (without `keep_referenced`, all outputs).

    Nothing that a process works on at this moment is among them, and nothing that a live flow run reads. Links are left
    alone.

    Raises:
        UserError: the store has trained models, and MLflow knows none of its runs.
    """
    store, read = settings.store, keys_in_use(settings)
    kept = _kept(settings, {output.key for output in store.outputs("finetune")}) if keep_referenced else set()
    outputs = [
        store.folder(stage, output.key) for stage in STAGES for output in store.outputs(stage) if output.key not in kept
    ]
    idle = []
    for folder in [*outputs, *store.leftovers()]:
        stage, key = _stage_and_key(folder)
        if not folder.is_symlink() and key not in read and not store.in_use(stage, key):
            idle.append(folder)
    return idle


def prunable_remotely(settings: Settings, *, keep_referenced: bool) -> Sweep:
    """Find what may go from the bucket behind the store: as `prunable`, and blobs that no output there refers to.

    Raises:
        UserError: there is no bucket, or it does not answer; or as `prunable`.
    """
    remote = needed_outputs(settings)
    if not keep_referenced:
        return unneeded(remote.bucket, kept=set())
    models = {manifest.key for manifest, _ in remote.manifests() if manifest.stage == "finetune"}
    return unneeded(remote.bucket, _kept(settings, models))


def _kept(settings: Settings, models: set[str]) -> set[str]:
    """Return the keys that MLflow's runs name; a database that names none of these models is a wrong one."""
    kept = referenced_keys(settings)
    if models and kept.isdisjoint(models):
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} has no run of this store, whose models would all be deleted; set "
            "MLFLOW_TRACKING_URI, or delete everything with --all"
        )
    return kept


def delete_unused(settings: Settings, folder: Path) -> bool:
    """Delete a prunable folder, unless a flow run has begun to use it in the meantime; return whether it is gone."""
    stage, key = _stage_and_key(folder)
    with settings.store.lock(f"{stage}-{key}", f"{stage}: waiting for a run that uses {key[:12]}"):
        if key in keys_in_use(settings):
            return False
        if folder.exists():
            settings.store.remove(folder)
    return True


def _stage_and_key(folder: Path) -> tuple[Stage, str]:
    stage = next(stage for stage in STAGES if stage == folder.parent.name)
    return stage, folder.name.removesuffix(PARTIAL_SUFFIX).removesuffix(DISCARDED_SUFFIX)
