"""Predicting a table with a model that a user names."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from nli_core.callbacks import Progress
from nli_core.errors import UserError
from nli_core.hashing import canonical_digest, folder_digests
from nli_core.inference.predictions import check_ending
from nli_core.inference.tables import plain_format, predict_table
from nli_core.remote.objects import check_bucket, fetch_object, send_object
from nli_core.urls import is_bucket
from tasks.cluster.prediction import table_predictor
from tasks.models.resolve import fine_tuned
from tasks.settings import Settings


def predict_file(
    settings: Settings,
    model: str,
    source: str,
    target: str,
    columns: Sequence[str] | None,
    progress: Progress,
    *,
    keep_columns: bool = False,
) -> dict[str, Any]:
    """Predict a table with the model of this name. Files in a bucket are fetched first and sent last.

    What was predicted for a file in a bucket waits beside the store, so that a rerun resumes.

    Raises:
        UserError: a file is missing, in the way or malformed, or there is no such model.
    """
    check_ending(target)
    if source == target:
        raise UserError(f"{target}: is the input; name another file for the predictions")
    if is_bucket(target):
        check_bucket(target, "--output")

    def predict(here: Path, target: Path) -> dict[str, Any]:
        return _predict_file(settings, model, here, target, columns, progress, shown=source, keep_columns=keep_columns)

    with ExitStack() as stack:
        here = Path(source)
        if is_bucket(source):
            here = Path(stack.enter_context(tempfile.TemporaryDirectory())) / Path(source).name
            fetch_object(source, here, "--input", progress)
        if not is_bucket(target):
            return predict(here, Path(target))
        waiting = settings.store.root.parent / "predictions" / f"{canonical_digest(target)}{Path(target).suffix}"
        waiting.parent.mkdir(parents=True, exist_ok=True)
        facts = predict(here, waiting)
        send_object(waiting, target, "--output")
        waiting.unlink()
        return facts


def _predict_file(
    settings: Settings,
    model: str,
    source: Path,
    target: Path,
    columns: Sequence[str] | None,
    progress: Progress,
    *,
    shown: str,
    keep_columns: bool,
) -> dict[str, Any]:
    if target.is_dir():
        raise UserError(f"{target}: is a folder; name a file for the predictions")
    if target.is_symlink() and not target.exists():
        raise UserError(f"{target}: is a link that leads nowhere; name another file for the predictions")
    if source.exists() and target.exists() and source.samefile(target):
        raise UserError(f"{target}: is the input; name another file for the predictions")
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it, or name another file")
    plain_format(source, shown)
    with fine_tuned(settings, model) as folder, table_predictor(settings, folder) as predictor:
        digest = str(sorted(folder_digests(folder).items()))
        return predict_table(
            predictor,
            source,
            target,
            model=digest,
            columns=columns,
            keep_columns=keep_columns,
            shown=shown,
            progress=progress,
        )
