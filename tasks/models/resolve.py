"""The files of a model that a user names."""

import re
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from nli_core.download.encoders.pretrained import MINILM_NAME, PretrainedEncoder
from nli_core.download.fetch import Fetcher
from nli_core.errors import UserError, reason_of
from tasks.models.champion import CHAMPION
from tasks.settings import Settings
from tasks.tracking.client import mlflow_client, says_missing
from tasks.tracking.log_model import MODEL_NAME
from tasks.tracking.runs import find_run

_RUN_ID = re.compile(r"[0-9a-f]{4,32}")
_LETTERS = 32  # of a whole id, which may be of another experiment too
_ALIASED = re.compile(r"[\w.-]+@[\w.-]+")
_URIS = ("runs:/", "models:/")


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
    if name != MINILM_NAME and (uri := _uri(name, settings)):
        with mlflow_client(settings):
            try:
                return Path(mlflow.artifacts.download_artifacts(f"{uri}/artifacts/model", dst_path=str(scratch)))
            except (MlflowException, FileNotFoundError) as error:
                if not says_missing(error):
                    raise
                where = f"MLflow at {settings.shown_tracking_uri}"
                raise UserError(f"{uri}: {where} has no such model ({reason_of(error)})") from None
    if name != MINILM_NAME:
        raise UserError(
            f"{name}: is neither the id of an MLflow run, nor a model with a champion, nor a model's URI "
            f"(runs:/ID/model, models:/NAME@ALIAS), nor a folder, nor {MINILM_NAME}"
        )
    out = scratch / "encoder"
    out.mkdir()
    PretrainedEncoder(name=name).download(out, Fetcher(settings.downloads, scratch))
    return out


def _refuse_special_files(folder: Path) -> None:
    """Refuse what can be read for ever, such as a FIFO or a device."""
    for path in folder.iterdir():
        if path.exists() and not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: is no regular file; copy the model again")


def _uri(name: str, settings: Settings) -> str | None:
    """Return the MLflow address of a model named by a run, a URI or an alias; None for any other name."""
    if name == CHAMPION:
        return f"models:/{_only_champion(settings)}@{CHAMPION}"
    if _RUN_ID.fullmatch(name):
        return f"runs:/{_whole_id(name, settings)}/{MODEL_NAME}"
    if _ALIASED.fullmatch(name):
        return f"models:/{name}"
    if name.startswith(_URIS):
        return name
    return f"models:/{name}@{CHAMPION}" if name in _champions(settings) else None


def _whole_id(name: str, settings: Settings) -> str:
    if len(name) == _LETTERS:
        return name
    with mlflow_client(settings) as client:
        return str(find_run(client, settings, name).info.run_id)


def _champions(settings: Settings) -> list[str]:
    """List the registry's models that have a champion."""
    with mlflow_client(settings) as client:
        models = client.search_registered_models(max_results=1000)
        return sorted(model.name for model in models if CHAMPION in model.aliases)


def _only_champion(settings: Settings) -> str:
    names = _champions(settings)
    if len(names) != 1:
        there = f"there are {', '.join(names)}: name one, such as {names[0]}@champion" if names else ""
        raise UserError(f"champion: {there or 'no model is champion yet; `nli promote RUN` makes one'}")
    return names[0]
