"""The files of a model that a user names."""

import re
from pathlib import Path

import mlflow
from mlflow.exceptions import MlflowException

from nli_core.config import PretrainedEncoder
from nli_core.download.encoders import MINILM_NAME, download_encoder
from nli_core.errors import UserError, reason_of
from tasks.model_logging import MODEL_NAME
from tasks.settings import Settings

_RUN_ID = re.compile(r"[0-9a-f]{32}")
_URIS = ("runs:/", "models:/")


def model_folder(name: str, settings: Settings, scratch: Path) -> Path:
    """The folder of a fine-tuned model or of an encoder; what has to be fetched goes to `scratch`.

    `name` is the id of a run of MLflow, a model's URI there, a folder, or minilm-l6.

    Raises:
        UserError: there is nothing of this name.
    """
    if Path(name).is_dir():
        return Path(name)
    if _RUN_ID.fullmatch(name) or name.startswith(_URIS):
        uri = name if name.startswith(_URIS) else f"runs:/{name}/{MODEL_NAME}"
        mlflow.set_tracking_uri(settings.tracking_uri)
        try:
            return Path(mlflow.artifacts.download_artifacts(f"{uri}/artifacts/model", dst_path=str(scratch)))
        except (MlflowException, OSError) as error:
            raise UserError(
                f"{uri}: MLflow at {settings.shown_tracking_uri} has no such model ({reason_of(error)})"
            ) from None
    if name != MINILM_NAME:
        raise UserError(
            f"{name}: is neither the id of an MLflow run (32 digits), nor a model's URI (runs:/ID/model, "
            f"models:/NAME@ALIAS), nor a folder, nor {MINILM_NAME}"
        )
    out = scratch / "encoder"
    out.mkdir()
    download_encoder(PretrainedEncoder(name=name), out=out, cache=settings.downloads, scratch=scratch)
    return out
