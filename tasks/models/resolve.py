"""The files of a model that a user names."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nli_core.download.encoders.pretrained import MINILM_NAME, PretrainedEncoder
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError
from nli_core.model.saved import is_fine_tuned
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


def model_folder(name: str, settings: Settings, scratch: Path) -> Path:
    """Find the folder of a fine-tuned model or of an encoder; fetched files go to `scratch`.

    `name` is champion (the only one), or a registry name: its champion, or with @ALIAS. Or it is an MLflow run ID or a
    unique prefix, a model's URI in MLflow, a folder, or minilm-l6.

    Raises:
        UserError: there is nothing of this name.
    """
    if Path(name).is_dir():
        _refuse_special_files(Path(name))
        return Path(name)
    if name == MINILM_NAME:
        out = scratch / "encoder"
        out.mkdir()
        PretrainedEncoder(name=name).download(out, Fetcher(settings.downloads, scratch))
        return out
    from tasks.models.tracked_model import fetch_tracked_model  # MLflow's import takes longer than most predictions

    if folder := fetch_tracked_model(name, settings, scratch):
        return folder
    raise UserError(
        f"{name}: is neither the id of an MLflow run, nor a model with a champion, nor a model's URI "
        f"(runs:/ID/model, models:/NAME@ALIAS), nor a folder, nor {MINILM_NAME}"
    )


def _refuse_special_files(folder: Path) -> None:
    """Refuse what can be read for ever, such as a FIFO or a device."""
    for path in folder.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: is no regular file; copy the model again")
