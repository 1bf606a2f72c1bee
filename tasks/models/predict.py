"""Predicting with a model that a user names."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nli_core.callbacks import Progress
from nli_core.data.tokenize.fast import FastTokenizer
from nli_core.errors import UserError
from nli_core.hashing import folder_digests
from nli_core.inference.predictor import Predictor
from nli_core.inference.tables import plain_format, predict_table
from nli_core.model.saved import is_fine_tuned
from tasks.models.resolve import model_folder
from tasks.settings import Settings


@contextmanager
def fine_tuned(settings: Settings, model: str) -> Iterator[Path]:
    """Yield the folder of a fine-tuned model, named as for `model_folder`; delete fetched files after the block.

    Raises:
        UserError: there is nothing of this name, or it was not fine-tuned.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = model_folder(model, settings, Path(scratch))
        if not is_fine_tuned(folder):
            raise UserError(f"{model}: is an encoder that was not fine-tuned; name a run or a model of the registry")
        yield folder


def predict_file(
    settings: Settings, model: str, source: Path, target: Path, columns: Sequence[str] | None, progress: Progress
) -> dict[str, Any]:
    """Predict a table with the model of this name."""
    if target.suffix != ".parquet" or target.is_dir():
        raise UserError(f"{target}: name a file that ends in .parquet for the predictions")
    if target.is_symlink() and not target.exists():
        raise UserError(f"{target}: is a link that leads nowhere; name another file for the predictions")
    if source.exists() and target.exists() and source.samefile(target):
        raise UserError(f"{target}: is the input; name another file for the predictions")
    if not target.parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it, or name another file")
    plain_format(source)
    with fine_tuned(settings, model) as folder:
        predictor, digest = Predictor(folder, FastTokenizer), str(sorted(folder_digests(folder).items()))
        return predict_table(predictor, source, target, columns=columns, model=digest, progress=progress)
