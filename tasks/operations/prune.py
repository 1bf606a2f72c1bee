"""Which folders of the stage store nobody needs."""

from pathlib import Path

from nli_core.errors import UserError
from nli_core.store.claim import DISCARDED_SUFFIX, PARTIAL_SUFFIX
from tasks.runtime.liveness import keys_in_use
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
    kept = referenced_keys(settings) if keep_referenced else set()
    models = {output.key for output in store.outputs("finetune")}
    if keep_referenced and models and kept.isdisjoint(models):
        raise UserError(
            f"MLflow at {settings.shown_tracking_uri} has no run of this store, whose models would all be deleted; set "
            "MLFLOW_TRACKING_URI, or delete everything with --all"
        )
    outputs = [output.folder for output in store.outputs() if output.key not in kept]
    idle = []
    for folder in [*outputs, *store.leftovers()]:
        kind, key = _kind_and_key(folder)
        if not folder.is_symlink() and key not in read and not store.in_use(kind, key):
            idle.append(folder)
    return idle


def delete_unused(settings: Settings, folder: Path) -> bool:
    """Delete a prunable folder, unless a flow run has begun to use it in the meantime; return whether it is gone."""
    kind, key = _kind_and_key(folder)
    with settings.store.lock(f"{kind}-{key}", f"{kind}: waiting for a run that uses {key[:12]}"):
        if key in keys_in_use(settings):
            return False
        if folder.exists():
            settings.store.remove(folder)
    return True


def _kind_and_key(folder: Path) -> tuple[str, str]:
    return folder.parent.name, folder.name.removesuffix(PARTIAL_SUFFIX).removesuffix(DISCARDED_SUFFIX)
