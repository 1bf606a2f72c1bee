"""Which folders of the stage store nobody needs."""

from pathlib import Path

from nli_core.config import STAGES
from nli_core.store.claim import PARTIAL_SUFFIX
from tasks.settings import Settings
from tasks.tracking.runs import referenced_keys


def prunable(settings: Settings, *, keep_referenced: bool) -> list[Path]:
    """List leftovers, and outputs whose keys no MLflow run names (without `keep_referenced`, all outputs).

    Nothing that a process works on at this moment is among them.
    """
    store = settings.store
    kept = referenced_keys(settings) if keep_referenced else set()
    outputs = [
        store.folder(stage, output.key) for stage in STAGES for output in store.outputs(stage) if output.key not in kept
    ]
    idle = []
    for folder in [*outputs, *store.leftovers()]:
        stage = next(stage for stage in STAGES if stage == folder.parent.name)
        if not store.in_use(stage, folder.name.removesuffix(PARTIAL_SUFFIX)):
            idle.append(folder)
    return idle
